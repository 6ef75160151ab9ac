/** Figures from single calls. ghz's own leave failed calls out of the percentiles, and cannot be pooled over processes. */

export interface Call {
  /** gRPC's, like `OK` or `Unavailable`. */
  readonly status: string;
  readonly latencyMs: number;
  /** When the call ended, in milliseconds of a clock that all pooled processes share. */
  readonly endMs: number;
}

export interface Statistics {
  readonly calls: number;
  readonly successRate: number;
  /** How many calls ended with each status but OK. */
  readonly failures: ReadonlyMap<string, number>;
  /** From the start of the first call to the end of the last one. */
  readonly seconds: number;
  /** Successful ones. */
  readonly callsPerSecond: number;
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export function isSuccess({ status }: Call): boolean {
  return status === 'OK';
}

/** A failed call counts as one that took `timeoutMs`: failing fast must not make a service look fast. */
export function countedLatency(call: Call, timeoutMs: number): number {
  return isSuccess(call) ? call.latencyMs : Math.max(call.latencyMs, timeoutMs);
}

export function statisticsOf(calls: readonly Call[], timeoutMs: number): Statistics {
  if (calls.length === 0) {
    throw new RangeError('no calls, no statistics');
  }
  const latencies = Float64Array.from(calls, (call) => countedLatency(call, timeoutMs)).sort();
  const successes = calls.filter(isSuccess).length;
  const failures = new Map<string, number>();
  for (const { status } of calls.filter((call) => !isSuccess(call))) {
    failures.set(status, (failures.get(status) ?? 0) + 1);
  }
  let start = Infinity;
  let end = -Infinity;
  for (const { endMs, latencyMs } of calls) {
    start = Math.min(start, endMs - latencyMs);
    end = Math.max(end, endMs);
  }
  const seconds = (end - start) / 1000;
  return {
    calls: calls.length,
    successRate: successes / calls.length,
    failures,
    seconds,
    callsPerSecond: successes / seconds,
    averageMs: latencies.reduce((sum, latency) => sum + latency, 0) / calls.length,
    p50Ms: percentile(latencies, 500),
    p95Ms: percentile(latencies, 950),
    p99Ms: percentile(latencies, 990),
    p999Ms: percentile(latencies, 999),
    maxMs: percentile(latencies, 1000),
  };
}

/** Nearest rank: the smallest value that at least `perMille` / 1000 of all values do not exceed. */
export function percentile(sorted: ArrayLike<number>, perMille: number): number {
  const rank = Math.max(1, Math.ceil((perMille * sorted.length) / 1000));
  return sorted[rank - 1]!;
}
