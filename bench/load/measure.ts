/** One scenario against one target. */
import { brokenInvariants } from '../../test/support/invariants.ts';
import { type Figure, valueFigure } from '../figure.ts';
import { InvalidRun } from '../invalid-run.ts';
import { endedChildrenSeconds, processSeconds } from '../target/processes.ts';
import type { Target } from '../target/target.ts';
import { budgetFigures } from './budget.ts';
import { CALL_TIMEOUT_MS } from './ghz.ts';
import { callersOf, prepareOrders, runAll } from './orders.ts';
import type { Scenario } from './scenario.ts';
import { countedLatency, type Statistics, statisticsOf } from './statistics.ts';
import { checkStored, countRows } from './stored.ts';

/** Processor cores in use, on average over the run; undefined where that cannot be told. */
interface Cores {
  readonly ghz: number | undefined;
  readonly service: number | undefined;
  readonly database: number | undefined;
}

/** What ghz and the processes said of one scenario. */
export interface Load {
  readonly concurrency: number;
  readonly statistics: Statistics;
  /** Each method's part, where there are several. */
  readonly methods: ReadonlyMap<string, { readonly callers: number; readonly statistics: Statistics }>;
  readonly cores: Cores;
  /** Units of work that the service tried again. */
  readonly retries: number;
  readonly latenciesMs: readonly number[];
}

export interface MeasureOptions {
  readonly ghz: string;
  readonly quick: boolean;
  readonly signal: AbortSignal;
}

/** Throws an InvalidRun when what was measured cannot be trusted. */
export async function measureLoad(
  target: Target,
  scenario: Scenario,
  options: MeasureOptions,
): Promise<{ load: Load; figures: Figure[] }> {
  const { database } = target;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(scenario.timeLimitSeconds * 1000)]);
  const { warmUp, orders } = await prepareOrders(target, scenario, options.quick);
  await runAll(options.ghz, scenario, warmUp, signal);

  const rowsBefore = await countRows(database);
  const retriesBefore = target.retries();
  const coresUsed = startClock(target);
  const results = await runAll(options.ghz, scenario, orders, signal);
  const cores = coresUsed();

  target.requireService();
  await checkStored(database, rowsBefore, results);
  await requireInvariants(target);
  const retries = target.retries() - retriesBefore;

  const calls = [...results.values()].flat();
  const statistics = statisticsOf(calls, CALL_TIMEOUT_MS);
  const methods = orders.map(({ method, concurrency }) => {
    const own = statisticsOf(results.get(method)!, CALL_TIMEOUT_MS);
    return [method, { callers: concurrency, statistics: own }] as const;
  });
  return {
    load: {
      concurrency: callersOf(orders, scenario),
      statistics,
      methods: new Map(methods.length > 1 ? methods : []),
      cores,
      retries,
      latenciesMs: calls.map((call) => countedLatency(call, CALL_TIMEOUT_MS)),
    },
    figures: [...budgetFigures(statistics, scenario), retriesFigure(target, retries)],
  };
}

/** Behind lanes and lock nothing collides, as long as nothing fails: PostgreSQL is held to that. */
export function retriesFigure({ name }: Pick<Target, 'name'>, retries: number): Figure {
  return valueFigure('retries', retries, String, name === 'sqlite' ? undefined : ['=', 0]);
}

/** Throws an InvalidRun that names what is broken. */
export async function requireInvariants({ name, database }: Pick<Target, 'name' | 'database'>): Promise<void> {
  if (name !== 'sqlite') {
    // The limit of these queries makes PostgreSQL hope for early rows and compare each version with each event, which
    // takes minutes with 50,000 of them. There are no early rows, and hash joins take a second for a million.
    await database.query('set enable_nestloop = off');
    await database.query('set enable_mergejoin = off');
  }
  const broken = await brokenInvariants(database);
  if (Object.keys(broken).length > 0) {
    throw new InvalidRun(`broken invariants: ${JSON.stringify(broken)}`);
  }
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
