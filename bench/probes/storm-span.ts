/** Whether a storm was there for as long as the calls that it was to hit: only then do their figures speak of it. */
import type { Call } from '../load/statistics.ts';

/** So long may the storm be without an answer: a service that answers nobody for longer is no storm. */
const MAX_GAP_MS = 2000;

interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** From the start of the first call to the end of the last one. */
function spanOf(calls: readonly Call[]): Span {
  let startMs = Infinity;
  let endMs = -Infinity;
  for (const call of calls) {
    startMs = Math.min(startMs, call.endMs - call.latencyMs);
    endMs = Math.max(endMs, call.endMs);
  }
  return { startMs, endMs };
}

/** The storm had begun before the first of `calls`, went on after the last one, and never paused between. */
export function spansWith(storm: readonly Call[], calls: readonly Call[]): boolean {
  const within = spanOf(calls);
  const whole = spanOf(storm);
  if (whole.startMs > within.startMs || whole.endMs < within.endMs) {
    return false;
  }
  const ends = Float64Array.from(storm, ({ endMs }) => endMs)
    .sort()
    .filter((endMs) => endMs > within.startMs && endMs < within.endMs);
  const marks = [within.startMs, ...ends, within.endMs];
  return marks.every((mark, index) => index === 0 || mark - marks[index - 1]! <= MAX_GAP_MS);
}

/** Calls of the storm per second that ended while `calls` ran. */
export function rateBetween(storm: readonly Call[], calls: readonly Call[]): number {
  const { startMs, endMs } = spanOf(calls);
  const ended = storm.filter((call) => call.endMs >= startMs && call.endMs <= endMs).length;
  return (1000 * ended) / (endMs - startMs);
}
