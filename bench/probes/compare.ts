/** How long it takes to say what two documents of the largest size say differently: one caller at a time. */
import { create, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { CompareIepsRequestSchema } from '../../src/gen/iep/v1/comparison_pb.ts';
import { HealthCheckRequestSchema } from '../../src/gen/health/v1/health_pb.ts';
import type { IepClient } from '../../test/support/service.ts';
import { type Bar, type Figure, valueFigure } from '../figure.ts';
import { formatMs } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';
import { createChains } from '../load/chains.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import { percentile } from '../load/statistics.ts';
import { createBareClient } from '../target/bare-client.ts';
import type { Server } from '../target/server.ts';
import { startTarget } from '../target/target.ts';
import { timesInTurns } from './turns.ts';

const BAR: Bar = ['<=', 50];
const BYTES = 256 * 1024;
const ROOM_BYTES = 4096;

const FULL = { calls: 200, warmUp: 50 };
const QUICK = { calls: 25, warmUp: 10 };

const COMPARE = 'iep.v1.IEPService/CompareIeps';
const HEALTH = 'grpc.health.v1.Health/Check';

const SENTENCE =
  'Reads 62 words correctly per minute in grade 4 text and answers 3 of 5 literal questions on what was read.';
const SECTIONS = Math.floor((BYTES - ROOM_BYTES) / (SENTENCE.length + 30));

/** A document of sections of a sentence each, in which each `every`th says something else than in one by another `words`. */
function sections(words: string, every: number): JsonObject {
  const texts = Array.from({ length: SECTIONS }, (_, index) => [
    `section_${index}`,
    { text: `${SENTENCE}${index % every === 0 ? words : ' '}` },
  ]);
  return Object.fromEntries(texts) as JsonObject;
}

/** The most places in which two documents can differ: numbers of one digit, each where its neighbour was. */
function digits(from: number): JsonObject {
  return { digits: Array.from({ length: (BYTES - ROOM_BYTES) / 2 }, (_, index) => (from + index) % 10) };
}

interface Pair {
  readonly name: string;
  readonly before: JsonObject;
  readonly after: JsonObject;
}

const PAIRS: readonly Pair[] = [
  { name: 'that differ in one section of fifty', before: sections('a', 50), after: sections('b', 50) },
  { name: 'that differ in every section', before: sections('a', 1), after: sections('b', 1) },
  { name: 'of 130,000 digits that moved by one', before: digits(0), after: digits(1) },
];

export async function probeCompare(
  server: Server,
  { quick, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const target = await startTarget(server, resources);
  const { client } = target.service;
  const studentIds = await createChains(client, { chains: PAIRS.length, versionsPerChain: 0 });
  const requests = await Promise.all(PAIRS.map((pair, index) => store(client, studentIds[index]!, pair)));
  for (const [index, request] of requests.entries()) {
    const { changes } = await client.compareIeps(request);
    if (changes.length === 0) {
      throw new InvalidRun(`no change was found in documents ${PAIRS[index]!.name}`);
    }
  }

  const bare = createBareClient(target.address);
  resources.defer(() => bare.close());
  const health = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema));
  const encoded = requests.map((request) =>
    toBinary(CompareIepsRequestSchema, create(CompareIepsRequestSchema, request)),
  );
  const calls = [...encoded.map((bytes) => () => bare.unary(COMPARE, bytes)), () => bare.unary(HEALTH, health)];
  const times = await timesInTurns(calls, { ...(quick ? QUICK : FULL), signal });

  target.requireService();
  await requireInvariants(target);
  return [
    ...PAIRS.flatMap(({ name }, index) => latencyFigures(`two documents of 256 KiB ${name}`, times[index]!, BAR)),
    ...latencyFigures('health check beside them', times.at(-1)!),
    retriesFigure(target, target.retries()),
  ];
}

/** Two versions of a chain. */
async function store(client: IepClient, studentId: string, { before, after }: Pair) {
  const ids: string[] = [];
  for (const content of [before, after]) {
    const { iep } = await client.createIep({ studentId, academicYear: '2025-2026', content });
    ids.push(iep!.id);
  }
  return { fromIepId: ids[0]!, toIepId: ids[1]! };
}

/** Half of the calls are within the bar; how far the slowest are from it is told. */
function latencyFigures(name: string, times: readonly number[], bar?: Bar): Figure[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [
    valueFigure(`${name}, p50`, percentile(sorted, 500), formatMs, bar),
    valueFigure(`${name}, p99`, percentile(sorted, 990), formatMs),
  ];
}
