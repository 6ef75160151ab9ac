/** One scenario against one target. */
import { brokenInvariants } from '../test/support/invariants.ts';
import { type Assertion, assertionsOf } from './budget.ts';
import { createChains, fillTemplate } from './chains.ts';
import { endedChildrenSeconds, processSeconds } from './cpu.ts';
import { CALL_TIMEOUT_MS, type LoadOrder, runGhz } from './ghz.ts';
import { InvalidRun } from './invalid-run.ts';
import type { Scenario, ScenarioName } from './scenario.ts';
import { type Call, countedLatency, type Statistics, statisticsOf } from './statistics.ts';
import { checkStored, countRows } from './stored.ts';
import type { DatabaseName, Target } from './targets.ts';

/** Processor cores in use, on average over the run; undefined where that cannot be told. */
interface Cores {
  readonly ghz: number | undefined;
  readonly service: number | undefined;
  readonly database: number | undefined;
}

export interface Measurement {
  readonly database: DatabaseName;
  readonly scenario: ScenarioName;
  readonly concurrency: number;
  readonly statistics: Statistics;
  /** Each method's part, where there are several. */
  readonly methods: ReadonlyMap<string, { readonly callers: number; readonly statistics: Statistics }>;
  readonly cores: Cores;
  readonly latenciesMs: readonly number[];
  readonly assertions: readonly Assertion[];
}

export interface MeasureOptions {
  readonly ghz: string;
  readonly quick: boolean;
  readonly signal: AbortSignal;
}

/** Calls that each caller makes before those that count, so that these meet compiled code and open connections. */
const WARM_UP_ROUNDS = 2;

/** Throws an InvalidRun when what was measured cannot be trusted. */
export async function measure(target: Target, scenario: Scenario, options: MeasureOptions): Promise<Measurement> {
  const { service, database } = target;
  const studentIds = await createChains(service.client, scenario);
  const timeLimit = AbortSignal.timeout(scenario.timeLimitSeconds * 1000);
  const orders = Object.entries(scenario.load).map(([method, load]) => ({
    address: new URL(service.grpcUrl).host,
    method,
    data: fillTemplate(scenario.data[method]!, studentIds),
    calls: options.quick ? load.quickCalls : load.calls,
    concurrency: load.concurrency,
    signal: AbortSignal.any([options.signal, timeLimit]),
  }));
  await runTogether(
    options.ghz,
    orders.map((order) => ({ ...order, calls: order.concurrency * WARM_UP_ROUNDS })),
  );

  const rowsBefore = await countRows(database);
  const coresUsed = startClock(target);
  const results = await runTogether(options.ghz, orders);
  const cores = coresUsed();

  const end = target.endOfService();
  if (end !== undefined) {
    throw new InvalidRun(end);
  }
  await checkStored(database, rowsBefore, results);
  const broken = await brokenInvariants(database);
  if (Object.keys(broken).length > 0) {
    throw new InvalidRun(`broken invariants: ${JSON.stringify(broken)}`);
  }

  const calls = [...results.values()].flat();
  const statistics = statisticsOf(calls, CALL_TIMEOUT_MS);
  const methods = orders.map(({ method, concurrency }) => {
    const own = statisticsOf(results.get(method)!, CALL_TIMEOUT_MS);
    return [method, { callers: concurrency, statistics: own }] as const;
  });
  return {
    database: target.name,
    scenario: scenario.name,
    concurrency: orders.reduce((sum, { concurrency }) => sum + concurrency, 0),
    statistics,
    methods: new Map(methods.length > 1 ? methods : []),
    cores,
    latenciesMs: calls.map((call) => countedLatency(call, CALL_TIMEOUT_MS)),
    assertions: assertionsOf(statistics, scenario),
  };
}

/** All orders at once, each by a ghz of its own. The first that fails ends the others. */
async function runTogether(ghz: string, orders: readonly LoadOrder[]): Promise<Map<string, Call[]>> {
  const failed = new AbortController();
  const failures: unknown[] = [];
  const results = new Map<string, Call[]>();
  await Promise.all(
    orders.map(async (order) => {
      try {
        const signal = AbortSignal.any([order.signal, failed.signal]);
        results.set(order.method, await runGhz(ghz, { ...order, signal }));
      } catch (error) {
        failures.push(error);
        failed.abort();
      }
    }),
  );
  if (failures.length > 0) {
    throw failures[0];
  }
  return results;
}

function startClock({ service, databaseSeconds }: Target): () => Cores {
  const read = () => ({
    ghz: endedChildrenSeconds(),
    service: processSeconds(service.process.pid!),
    database: databaseSeconds(),
  });
  const before = read();
  const start = performance.now();
  return () => {
    const seconds = (performance.now() - start) / 1000;
    const after = read();
    const cores = (name: keyof Cores) =>
      before[name] === undefined || after[name] === undefined ? undefined : (after[name] - before[name]) / seconds;
    return { ghz: cores('ghz'), service: cores('service'), database: cores('database') };
  };
}
