import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import type { GrpcListener } from './grpc-listener.ts';
import type { HttpListener } from './http-listener.ts';

export interface Draining {
  readonly grpc: GrpcListener;
  readonly http: HttpListener;
  readonly draining: AbortController;
  readonly config: Pick<Config, 'drainDelayMs' | 'shutdownGraceMs'>;
  readonly log: Logger;
}

/**
 * Ends the traffic: says NOT_SERVING, gives load balancers time to look away, refuses what comes after, and waits for the
 * calls in flight, at most the grace period.
 */
export async function drain({ grpc, http, draining, config, log }: Draining): Promise<void> {
  grpc.setServing(false);
  log.info({ delayMs: config.drainDelayMs }, 'draining');
  await sleep(config.drainDelayMs);
  draining.abort();
  const finished = Promise.all([grpc.finish(), http.finish()]).then(() => true);
  if (!(await Promise.race([finished, sleep(config.shutdownGraceMs, false, { ref: false })]))) {
    log.warn({ graceMs: config.shutdownGraceMs }, 'calls left after the grace period were ended');
  }
}
