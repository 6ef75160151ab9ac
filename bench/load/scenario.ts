/** A scenario is a folder: what is sent (data.json), and how often, how many at once and how fast it must be (budget.json). */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { messageOf } from '../format.ts';

/**
 * In the order in which they run. `ceiling` is the health check: what ghz and the listener can do without the service's work.
 * `thousand` is as many callers at once on a chain without versions: with one row for each, and a chain that keeps the
 * invariants, its versions are exactly 1 to 1,000. `approval` leads documents from draft to approved, each call another one,
 * and stands beside create-iep-cold of the same run.
 */
export const SCENARIOS = [
  'ceiling',
  'create-student',
  'create-iep-hot',
  'create-iep-cold',
  'approval',
  'get-latest',
  'mixed',
  'thousand',
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

/** "20+ concurrent": with fewer callers a scenario would prove less than it says. */
const MIN_CONCURRENCY = 20;
/** ghz keeps the details of no more calls than this. */
const MAX_CALLS = 1_000_000;

const positive = z.number().int().positive();
const share = z.number().min(0).max(1);
const milliseconds = z.number().positive();

const load = z
  .strictObject({ concurrency: positive, calls: positive.max(MAX_CALLS), quickCalls: positive })
  // ghz refuses fewer calls than callers.
  .refine(({ concurrency, quickCalls, calls }) => concurrency <= quickCalls && quickCalls <= calls, {
    error: 'concurrency <= quickCalls <= calls must hold',
  });

const seedBudget = z
  .strictObject({
    requirement: z.string(),
    measure: z.enum(['successRate', 'averageMs']),
    atLeast: z.number().optional(),
    above: z.number().optional(),
    below: z.number().optional(),
  })
  .refine(({ atLeast, above, below }) => (atLeast ?? above ?? below) !== undefined, {
    error: 'must have a bound: atLeast, above or below',
  });

const budgetFile = z.strictObject({
  /** By full method name, each called by a ghz of its own. */
  load: z
    .record(z.string(), load)
    .refine(
      (methods) => Object.values(methods).reduce((sum, { concurrency }) => sum + concurrency, 0) >= MIN_CONCURRENCY,
      {
        error: `must have at least ${MIN_CONCURRENCY} callers`,
      },
    ),
  /** The methods are called one after the other, in the order of `load`, instead of at once. */
  inTurn: z.boolean().default(false),
  /** Chains that are there before the first call, each of a student of its own, and the length of each. */
  chains: z.number().int().min(0).max(1000),
  versionsPerChain: z.number().int().min(0).max(1000),
  /**
   * Calls that each caller makes before those that count, so that these meet compiled code and open connections. A creation
   * costs a third less after 10,000 calls than after 500; what stands beside pgbench, which needs no warming, makes as many.
   */
  warmUpRounds: z.number().int().min(0),
  timeLimitSeconds: positive,
  /** What this service demands of itself: at least this success rate, and less than these times. */
  budget: z.strictObject({
    successRate: share,
    averageMs: milliseconds,
    p50Ms: milliseconds,
    p95Ms: milliseconds,
    p99Ms: milliseconds,
  }),
  /** What the predecessor was held to. */
  seedBudget: z.array(seedBudget),
});

export type Budgets = Pick<z.infer<typeof budgetFile>, 'budget' | 'seedBudget'>;

export interface Scenario extends z.infer<typeof budgetFile> {
  readonly name: ScenarioName;
  /**
   * By full method name: one request, with ghz's template actions, `$STUDENT_ID` for the student of a chain, and `$IEP_ID`
   * for a draft that no other call of the method gets.
   */
  readonly data: Record<string, object>;
}

/** Throws when a file is missing, or says something that it cannot say. */
export async function readScenario(name: ScenarioName): Promise<Scenario> {
  const folder = path.join(import.meta.dirname, '../scenarios', name);
  const scenario = await readJson(path.join(folder, 'budget.json'), budgetFile);
  const data = await readJson(path.join(folder, 'data.json'), z.record(z.string(), z.looseObject({})));
  const called = Object.keys(scenario.load);
  const missing = called.find((method) => !(method in data));
  if (missing !== undefined) {
    throw new Error(`${name}/data.json has nothing to send to ${missing}`);
  }
  return { ...scenario, name, data };
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  const where = path.relative(import.meta.dirname, file);
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new Error(`${where}: ${problem}`, { cause: error });
  }
}
