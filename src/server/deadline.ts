export interface Deadlines {
  /** For calls that bring none. */
  readonly defaultMs: number;
  /** Longer ones are cut to this: a timer of more than 2^31 ms would go off at once. */
  readonly maxMs: number;
}

/** The answer must be with the client by its deadline, or the client sees none of its details. */
const MARGIN_MS = 50;
const MARGIN_SHARE = 0.1;

/** How long the service works on a call for which the client waits `requestedMs`. */
export function workingTimeMs(requestedMs: number | undefined, { defaultMs, maxMs }: Deadlines): number {
  if (requestedMs === undefined) {
    return Math.min(defaultMs, maxMs);
  }
  if (requestedMs > maxMs) {
    return maxMs;
  }
  return Math.max(0, Math.floor(requestedMs - Math.min(MARGIN_MS, requestedMs * MARGIN_SHARE)));
}

const CONNECT_TIMEOUT = 'connect-timeout-ms';
const GRPC_TIMEOUT = 'grpc-timeout';
/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests */
const GRPC_UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Writes the working time into the headers of a Connect or gRPC-Web request, and answers it. A malformed one is left to
 * the protocol.
 */
export function boundHeaders(headers: Record<string, string | string[] | undefined>, deadlines: Deadlines): number {
  const grpcWeb = String(headers['content-type']).startsWith('application/grpc-web');
  const name = grpcWeb ? GRPC_TIMEOUT : CONNECT_TIMEOUT;
  const given = headers[name];
  const requestedMs = typeof given === 'string' ? timeoutMs(grpcWeb, given) : undefined;
  const workingMs = workingTimeMs(requestedMs, deadlines);
  if (given === undefined || requestedMs !== undefined) {
    headers[name] = `${workingMs}${grpcWeb ? 'm' : ''}`;
  }
  return workingMs;
}

function timeoutMs(grpcWeb: boolean, value: string): number | undefined {
  const [, digits, unit] = (grpcWeb ? /^([0-9]{1,15})([HMSmun])$/ : /^([0-9]{1,10})()$/).exec(value) ?? [];
  return digits === undefined ? undefined : Number(digits) * (GRPC_UNIT_MS[unit ?? ''] ?? 1);
}

/** Cuts the timeout of a gRPC request that is longer than the service works on any call. */
export function cutGrpcTimeout(headers: Record<string, string | string[] | undefined>, { maxMs }: Deadlines): void {
  const given = headers[GRPC_TIMEOUT];
  const requestedMs = typeof given === 'string' ? timeoutMs(true, given) : undefined;
  if (requestedMs !== undefined && requestedMs > maxMs) {
    headers[GRPC_TIMEOUT] = `${maxMs}m`;
  }
}
