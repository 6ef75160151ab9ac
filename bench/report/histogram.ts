/** Counts of latencies in bins of equal ratio: latencies spread over orders of magnitude, and the tail is what matters. */

export interface Bin {
  readonly fromMs: number;
  readonly toMs: number;
  readonly count: number;
}

const BINS_PER_DECADE = 40;
/** A logarithm needs something above zero. */
const MIN_MS = 0.001;

export function histogramOf(latenciesMs: readonly number[]): Bin[] {
  const counts = new Map<number, number>();
  for (const latency of latenciesMs) {
    const bin = Math.floor(Math.log10(Math.max(latency, MIN_MS)) * BINS_PER_DECADE);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
  }
  const first = Math.min(...counts.keys());
  const last = Math.max(...counts.keys());
  return Array.from({ length: last - first + 1 }, (_, index) => ({
    fromMs: 10 ** ((first + index) / BINS_PER_DECADE),
    toMs: 10 ** ((first + index + 1) / BINS_PER_DECADE),
    count: counts.get(first + index) ?? 0,
  }));
}
