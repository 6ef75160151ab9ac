/** Measures things against each other on a machine that is never quite still. */
import { percentile } from '../load/statistics.ts';

export type Action = () => Promise<unknown>;

/** Calls of one action before it is the next one's turn. */
const BLOCK = 25;

export interface TurnOptions {
  /** Of each action, one after the other. */
  readonly calls: number;
  /** Those of each action before them, which do not count. */
  readonly warmUp: number;
  readonly signal: AbortSignal;
}

/** The medians in milliseconds: `value` of the first, `reference` of the second. */
export async function mediansInTurns(
  first: Action,
  second: Action,
  options: TurnOptions,
): Promise<{ value: number; reference: number }> {
  const [value, reference] = await timesInTurns([first, second], options);
  return { value: medianOf(value!), reference: medianOf(reference!) };
}

/** How long the calls of each action took, in milliseconds. */
export async function timesInTurns(
  actions: readonly Action[],
  { calls, warmUp, signal }: TurnOptions,
): Promise<number[][]> {
  const blocks = (amount: number) =>
    Array.from({ length: Math.ceil(amount / BLOCK) }, (_, index) => Math.min(BLOCK, amount - index * BLOCK));
  const timed = (amount: number) => inTurns(actions, blocks(amount), (action, size) => timeBlock(action, size, signal));
  await timed(warmUp);
  return timed(calls);
}

/** What `take` gets of each subject, round by round: whatever else the machine does then hits all alike. */
export async function inTurns<S, R>(
  subjects: readonly S[],
  rounds: readonly R[],
  take: (subject: S, round: R) => Promise<readonly number[]>,
): Promise<number[][]> {
  const taken: number[][] = subjects.map(() => []);
  for (const round of rounds) {
    for (const [index, subject] of subjects.entries()) {
      taken[index]!.push(...(await take(subject, round)));
    }
  }
  return taken;
}

/** Collects its own garbage first: pauses of this process are no part of what is measured. `npm run bench` lets it. */
async function timeBlock(action: Action, calls: number, signal: AbortSignal): Promise<number[]> {
  globalThis.gc?.();
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    signal.throwIfAborted();
    const start = performance.now();
    await action();
    times.push(performance.now() - start);
  }
  return times;
}

export function medianOf(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    500,
  );
}
