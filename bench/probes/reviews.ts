/** Which reviews are due in the whole district, of the highest versions only: one caller at a time, first and later pages. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { HealthCheckRequestSchema } from '../../src/gen/health/v1/health_pb.ts';
import { IepStatus } from '../../src/gen/iep/v1/iep_pb.ts';
import { ListIepsRequestSchema, ListIepsResponseSchema } from '../../src/gen/iep/v1/iep_service_pb.ts';
import type { TestDatabase } from '../../test/support/sql.ts';
import { type Bar, type Figure, valueFigure } from '../figure.ts';
import { formatMs } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import { percentile } from '../load/statistics.ts';
import { type BareClient, createBareClient } from '../target/bare-client.ts';
import type { Server } from '../target/server.ts';
import { startTarget } from '../target/target.ts';
import { fillChains, settle, type VersionColumns } from './fill.ts';
import { fillDocuments } from './fill-documents.ts';
import { timesInTurns } from './turns.ts';

const BAR: Bar = ['<=', 20];

const FULL = { versions: 1_000_000, calls: 1000, warmUp: 200 };
const QUICK = { versions: 50_000, calls: 200, warmUp: 100 };

const VERSIONS_PER_STUDENT = 10;
/** Reviews fall on all days of a year. In every fifth chain the next version is being written, which takes it out of the list. */
const VERSIONS: VersionColumns = {
  status: `case version + cast(student % 5 = 0 as integer) when 10 then 'ACTIVE' when 11 then 'DRAFT'
    else 'SUPERSEDED' end`,
  reviewDate: `date '2026-01-01' + student * 7919 % 365`,
};
/** About half of them. */
const DUE_BEFORE = '2026-07-01';
const PAGE = 50;
const MOST_PER_PAGE = 1000;

const LIST = 'iep.v1.IEPService/ListIeps';
const HEALTH = 'grpc.health.v1.Health/Check';

export async function probeReviews(
  server: Server,
  { quick, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const { versions, calls, warmUp } = quick ? QUICK : FULL;
  const target = await startTarget(server, resources);
  const { database } = target;
  const filling = { label: 'due', students: versions / VERSIONS_PER_STUDENT, versionsPerStudent: VERSIONS_PER_STUDENT };
  await fillChains(database, { ...filling, versions: VERSIONS }, signal);
  await fillDocuments(database, 'ACTIVE');
  await settle(database);

  const client = createBareClient(target.address);
  resources.defer(() => client.close());
  const tokens = await walk(client, await countDue(database), signal);
  const health = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema));
  const [first, later, floor] = await timesInTurns(
    [
      () => client.unary(LIST, pageRequest({ pageSize: PAGE })),
      () => client.unary(LIST, pageRequest({ pageSize: PAGE, pageToken: oneOf(tokens) })),
      () => client.unary(HEALTH, health),
    ],
    { calls, warmUp, signal },
  );

  target.requireService();
  await requireInvariants(target);
  const among = `of ${PAGE} among ${versions.toLocaleString('en-US')} versions`;
  return [
    ...latencyFigures(`first page ${among}`, first!, BAR),
    ...latencyFigures(`random later page ${among}`, later!, BAR),
    ...latencyFigures('health check beside them', floor!),
    retriesFigure(target, target.retries()),
  ];
}

function latencyFigures(name: string, times: readonly number[], bar?: Bar): Figure[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [
    valueFigure(`${name}, p50`, percentile(sorted, 500), formatMs),
    valueFigure(`${name}, p99`, percentile(sorted, 990), formatMs, bar),
  ];
}

function pageRequest(page: MessageInitShape<typeof ListIepsRequestSchema>): Uint8Array {
  const due = { status: IepStatus.ACTIVE, reviewDateBefore: DUE_BEFORE, latestOnly: true };
  return toBinary(ListIepsRequestSchema, create(ListIepsRequestSchema, { ...due, ...page }));
}

/** Tokens of places all over the list, whose length must be `due`. */
async function walk(client: BareClient, due: number, signal: AbortSignal): Promise<string[]> {
  const tokens: string[] = [];
  let listed = 0;
  let pageToken = '';
  do {
    signal.throwIfAborted();
    const page = await client.unary(LIST, pageRequest({ pageSize: MOST_PER_PAGE, pageToken }));
    const { ieps, nextPageToken } = fromBinary(ListIepsResponseSchema, page);
    listed += ieps.length;
    pageToken = nextPageToken;
    tokens.push(...(pageToken === '' ? [] : [pageToken]));
  } while (pageToken !== '');
  if (listed !== due || tokens.length === 0) {
    throw new InvalidRun(
      `the list has ${listed} versions and ${tokens.length} later pages, and ${due} reviews are due`,
    );
  }
  return tokens;
}

/** By the chains themselves, not by the way in which the service finds them. */
async function countDue(database: TestDatabase): Promise<number> {
  const [row] = await database.query(
    `select count(*) as due from (
      select distinct on (student_id, academic_year) status, review_date from ieps
      order by student_id, academic_year, version desc
    ) as latest where status = 'ACTIVE' and review_date < ?`,
    DUE_BEFORE,
  );
  return Number(row?.['due']);
}

function oneOf<T>(choices: readonly T[]): T {
  return choices[Math.floor(Math.random() * choices.length)]!;
}
