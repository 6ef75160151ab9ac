/** What a service under pressure gets done, from single calls of an open loop. */
import { type Call, isSuccess, percentile } from '../load/statistics.ts';

export interface Pressed {
  /** Successes per second. */
  readonly goodput: number;
  /** Of the successes. */
  readonly p99Ms: number;
  /** Share of the calls that were done or turned away: the others got no answer of the service. */
  readonly answered: number;
}

/** RESOURCE_EXHAUSTED, as ghz names it. */
const TURNED_AWAY = 'ResourceExhausted';

export interface Window {
  /** How long calls were begun. */
  readonly pressedSeconds: number;
  /** How much of it, from its start, does not count for the goodput. */
  readonly settlingSeconds: number;
}

export function pressedOf(calls: readonly Call[], { pressedSeconds, settlingSeconds }: Window): Pressed {
  const startMs = calls.reduce((least, { endMs, latencyMs }) => Math.min(least, endMs - latencyMs), Infinity);
  const successes = calls.filter(isSuccess);
  const counted = successes.filter(({ endMs }) => {
    const second = (endMs - startMs) / 1000;
    return second >= settlingSeconds && second < pressedSeconds;
  });
  const sorted = successes.map(({ latencyMs }) => latencyMs).toSorted((a, b) => a - b);
  const turnedAway = calls.filter(({ status }) => status === TURNED_AWAY).length;
  return {
    goodput: counted.length / (pressedSeconds - settlingSeconds),
    p99Ms: successes.length === 0 ? Infinity : percentile(sorted, 990),
    answered: (successes.length + turnedAway) / calls.length,
  };
}
