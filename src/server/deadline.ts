import type { DescMethod } from '@bufbuild/protobuf';

export interface Deadlines {
  /** For calls that bring none. */
  readonly defaultMs: number;
  /** Longer ones are cut to this: a timer of more than 2^31 ms would go off at once. */
  readonly maxMs: number;
}

/** The longest that a timer runs: nobody waits that long for an end. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A stream has none but its caller's. */
export function deadlinesOf(method: DescMethod | undefined, deadlines: Deadlines): Deadlines | undefined {
  return method?.methodKind === 'server_streaming' ? undefined : deadlines;
}

/** The answer must be with the client by its deadline, or the client sees none of its details. */
const MARGIN_MS = 50;
const MARGIN_SHARE = 0.1;

/** How long the service works on a call for which the client waits `requestedMs`; undefined = without an end. */
export function workingTimeMs(requestedMs: number | undefined, deadlines: Deadlines | undefined): number | undefined {
  const { defaultMs, maxMs } = deadlines ?? { defaultMs: undefined, maxMs: undefined };
  if (requestedMs === undefined) {
    return defaultMs === undefined || maxMs === undefined ? undefined : Math.min(defaultMs, maxMs);
  }
  if (requestedMs > (maxMs ?? TIMER_MAX_MS)) {
    return maxMs;
  }
  return Math.max(0, Math.floor(requestedMs - Math.min(MARGIN_MS, requestedMs * MARGIN_SHARE)));
}

const CONNECT_TIMEOUT = 'connect-timeout-ms';
const GRPC_TIMEOUT = 'grpc-timeout';
/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests */
const GRPC_UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

type RequestHeaders = Record<string, string | string[] | undefined>;

/**
 * Writes the working time into the headers of a Connect or gRPC-Web request, and answers it. A malformed one is left to
 * the protocol.
 */
export function boundHeaders(headers: RequestHeaders, deadlines: Deadlines | undefined): number | undefined {
  const grpcWeb = String(headers['content-type']).startsWith('application/grpc-web');
  const name = grpcWeb ? GRPC_TIMEOUT : CONNECT_TIMEOUT;
  const given = headers[name];
  const requestedMs = typeof given === 'string' ? timeoutMs(grpcWeb, given) : undefined;
  const workingMs = workingTimeMs(requestedMs, deadlines);
  if (given === undefined || requestedMs !== undefined) {
    write(headers, name, workingMs, grpcWeb ? 'm' : '');
  }
  return workingMs;
}

function write(headers: RequestHeaders, name: string, ms: number | undefined, unit: string): void {
  if (ms === undefined) {
    delete headers[name];
  } else {
    headers[name] = `${ms}${unit}`;
  }
}

function timeoutMs(grpcWeb: boolean, value: string): number | undefined {
  const [, digits, unit] = (grpcWeb ? /^([0-9]{1,15})([HMSmun])$/ : /^([0-9]{1,10})()$/).exec(value) ?? [];
  return digits === undefined ? undefined : Number(digits) * (GRPC_UNIT_MS[unit ?? ''] ?? 1);
}

/** Cuts the timeout of a gRPC request that is longer than the service works on the call, or than a timer runs. */
export function cutGrpcTimeout(headers: RequestHeaders, deadlines: Deadlines | undefined): void {
  const given = headers[GRPC_TIMEOUT];
  const requestedMs = typeof given === 'string' ? timeoutMs(true, given) : undefined;
  if (requestedMs !== undefined && requestedMs > (deadlines?.maxMs ?? TIMER_MAX_MS)) {
    write(headers, GRPC_TIMEOUT, deadlines?.maxMs, 'm');
  }
}
