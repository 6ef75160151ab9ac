/** What a scenario calls: its orders for ghz, over documents that are there before the clock starts. */
import type { Target } from '../target/target.ts';
import { runTogether } from '../together.ts';
import { createChains, createDrafts, fillTemplate, IEP_ID } from './chains.ts';
import { type LoadOrder, runGhz } from './ghz.ts';
import type { Scenario } from './scenario.ts';
import type { Call } from './statistics.ts';

type Order = Omit<LoadOrder, 'signal'>;

const QUICK_WARM_UP_ROUNDS = 8;

/** Creates what the calls are about. Those of the warm-up get drafts of their own. */
export async function prepareOrders(
  { address, service: { client } }: Target,
  scenario: Scenario,
  quick: boolean,
): Promise<{ warmUp: Order[]; orders: Order[] }> {
  const { load, data, warmUpRounds } = scenario;
  const studentIds = await createChains(client, scenario);
  const sizes = Object.entries(load).map(([method, { concurrency, calls, quickCalls }]) => ({
    method,
    concurrency,
    warmUpCalls: concurrency * (quick ? Math.min(warmUpRounds, QUICK_WARM_UP_ROUNDS) : warmUpRounds),
    calls: quick ? quickCalls : calls,
  }));
  const needed = sizes.map(({ warmUpCalls, calls }) => warmUpCalls + calls);
  const drafts = JSON.stringify(data).includes(IEP_ID)
    ? await createDrafts(client, studentIds, Math.max(...needed))
    : [];
  const order = ({ method, concurrency }: (typeof sizes)[number], calls: number, own: readonly string[]): Order => ({
    address,
    method,
    data: fillTemplate(fillTemplate(data[method]!, studentIds), own, IEP_ID),
    amount: { calls },
    concurrency,
  });
  return {
    warmUp:
      warmUpRounds > 0 ? sizes.map((size) => order(size, size.warmUpCalls, drafts.slice(0, size.warmUpCalls))) : [],
    orders: sizes.map((size) => order(size, size.calls, drafts.slice(size.warmUpCalls))),
  };
}

/** All orders, at once or in turn, each by a ghz of its own; what each got, by method. */
export async function runAll(
  ghz: string,
  { inTurn }: Scenario,
  orders: readonly Order[],
  signal: AbortSignal,
): Promise<Map<string, Call[]>> {
  const run = (order: Order, either: AbortSignal) => runGhz(ghz, { ...order, signal: either });
  const results = new Map<string, Call[]>();
  if (inTurn) {
    for (const order of orders) {
      results.set(order.method, await run(order, signal));
    }
    return results;
  }
  const together = await runTogether(
    signal,
    orders.map((order) => (either) => run(order, either)),
  );
  return new Map(orders.map(({ method }, index) => [method, together[index]!]));
}

/** How many callers there are at once. */
export function callersOf(orders: readonly Order[], { inTurn }: Scenario): number {
  const callers = orders.map(({ concurrency }) => concurrency);
  return inTurn ? Math.max(...callers) : callers.reduce((sum, own) => sum + own, 0);
}
