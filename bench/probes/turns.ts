/** Times two things against each other on a machine that is never quite still. */
import { percentile } from '../load/statistics.ts';

export type Action = () => Promise<unknown>;

/** Calls of one side before it is the other one's turn: whatever else the machine does then hits both alike. */
const BLOCK = 25;

export interface TurnOptions {
  /** Of each side, one after the other. */
  readonly calls: number;
  /** Those of each side before them, which do not count. */
  readonly warmUp: number;
  readonly signal: AbortSignal;
}

/** The medians in milliseconds: `value` of the first, `reference` of the second. */
export async function mediansInTurns(
  first: Action,
  second: Action,
  { calls, warmUp, signal }: TurnOptions,
): Promise<{ value: number; reference: number }> {
  await timeInTurns(first, second, warmUp, signal);
  const [firstMs, secondMs] = await timeInTurns(first, second, calls, signal);
  return { value: medianOf(firstMs), reference: medianOf(secondMs) };
}

async function timeInTurns(
  first: Action,
  second: Action,
  calls: number,
  signal: AbortSignal,
): Promise<[number[], number[]]> {
  const times: [number[], number[]] = [[], []];
  for (let done = 0; done < calls; done += BLOCK) {
    const size = Math.min(BLOCK, calls - done);
    times[0].push(...(await timeBlock(first, size, signal)));
    times[1].push(...(await timeBlock(second, size, signal)));
  }
  return times;
}

async function timeBlock(action: Action, calls: number, signal: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    signal.throwIfAborted();
    const start = performance.now();
    await action();
    times.push(performance.now() - start);
  }
  return times;
}

function medianOf(times: readonly number[]): number {
  return percentile(
    times.toSorted((a, b) => a - b),
    500,
  );
}
