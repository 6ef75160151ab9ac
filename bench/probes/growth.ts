/** Whether a creation takes longer the more there is: in a full table, and on a long chain. */
import { fromJson, type JsonObject } from '@bufbuild/protobuf';
import { CreateIepRequestSchema } from '../../src/gen/iep/v1/iep_service_pb.ts';
import { type Bar, type Figure, ratioFigure } from '../figure.ts';
import { formatMs } from '../format.ts';
import { createChains, creationTemplate } from '../load/chains.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import type { Server } from '../target/server.ts';
import { startTarget, type Target } from '../target/target.ts';
import { fillChains, settle } from './fill.ts';
import { type Action, mediansInTurns } from './turns.ts';

const FULL_TABLE_BAR: Bar = ['<=', 1.5];
const LONG_CHAIN_BAR: Bar = ['<=', 1.3];

const FULL = { tableRows: 1_000_000, longChain: 10_000, calls: 1500, warmUp: 400 };
const QUICK = { tableRows: 50_000, longChain: 2000, calls: 200, warmUp: 100 };
type Size = typeof FULL;

/** Chains of a full table are as they are in a district. */
const VERSIONS_PER_STUDENT = 10;
/** Enough that none of them grows much. */
const FRESH_CHAINS = 500;

export async function probeGrowth(
  server: Server,
  { quick, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const size = quick ? QUICK : FULL;
  const small = await startTarget(server, resources);
  const full = await startTarget(server, resources);
  const template = await creationTemplate();
  const figures = [
    await compareTables(small, full, template, size, signal),
    await compareChains(small, template, size, signal),
  ];
  for (const target of [small, full]) {
    target.requireService();
    await requireInvariants(target);
  }
  return [...figures, retriesFigure(small, small.retries() + full.retries())];
}

async function compareTables(
  empty: Target,
  full: Target,
  template: JsonObject,
  { tableRows, calls, warmUp }: Size,
  signal: AbortSignal,
): Promise<Figure> {
  const students = tableRows / VERSIONS_PER_STUDENT;
  await fillChains(full.database, { label: 'full', students, versionsPerStudent: VERSIONS_PER_STUDENT }, signal);
  await settle(full.database);
  const fresh = { chains: FRESH_CHAINS, versionsPerChain: 0 };
  const inFull = creator(full, template, await createChains(full.service.client, fresh));
  const inEmpty = creator(empty, template, await createChains(empty.service.client, fresh));
  return ratioFigure(
    `p50 of a creation, ${tableRows.toLocaleString('en-US')} versions in the table to none`,
    await mediansInTurns(inFull, inEmpty, { calls, warmUp, signal }),
    formatMs,
    FULL_TABLE_BAR,
  );
}

async function compareChains(
  target: Target,
  template: JsonObject,
  { longChain, calls, warmUp }: Size,
  signal: AbortSignal,
): Promise<Figure> {
  const long = { label: 'long', students: 1, versionsPerStudent: longChain };
  // Each is used once: after that it is longer than 1.
  const short = { label: 'short', students: calls + warmUp, versionsPerStudent: 1 };
  const onLong = creator(target, template, await fillChains(target.database, long, signal));
  const onShort = creator(target, template, await fillChains(target.database, short, signal));
  await settle(target.database);
  return ratioFigure(
    `p50 of a creation, on a chain of ${longChain.toLocaleString('en-US')} versions to one of 1`,
    await mediansInTurns(onLong, onShort, { calls, warmUp, signal }),
    formatMs,
    LONG_CHAIN_BAR,
  );
}

/** Creates the next version of each student's chain in turn. */
function creator({ service }: Target, template: JsonObject, studentIds: readonly string[]): Action {
  const requests = studentIds.map((id) => fromJson(CreateIepRequestSchema, { ...template, student_id: id }));
  let calls = 0;
  return () => service.client.createIep(requests[calls++ % requests.length]!);
}
