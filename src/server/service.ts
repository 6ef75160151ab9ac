import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import { openDatabase } from '../persistence/database.ts';
import { createIepService } from '../rpc/iep-service.ts';
import { trustUserHeader } from '../rpc/interceptors/authenticate.ts';
import { mapErrors } from '../rpc/interceptors/map-errors.ts';
import { observe } from '../rpc/interceptors/observe.ts';
import { endStreams } from '../rpc/interceptors/end-streams.ts';
import { probeDatabase } from './database-probe.ts';
import { drain } from './drain.ts';
import { createEntrance } from './entrance.ts';
import { openGrpcListener } from './grpc-listener.ts';
import { openHttpListener } from './http-listener.ts';
import { createTurnGate } from './turn-gate.ts';

const CLOSE_LIMIT_MS = 5000;

export interface Service {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Finishes the calls in flight, then closes everything. */
  stop(): Promise<void>;
}

/** Brings up the database and both listeners; what fails on the way leaves nothing open. */
export async function startService(config: Config, log: Logger): Promise<Service> {
  const db = await openDatabase({
    url: config.databaseUrl,
    poolSize: config.poolSize,
    versionLock: config.versionLock,
    migrate: config.migrate,
    onRetry: ({ attempt, failure, delayMs, error }, lockFailed) => {
      const retry = { attempt, failure, delayMs: Math.round(delayMs), cause: (error as Error).name };
      log.info(retry, 'retry');
      if (lockFailed) {
        log.error(retry, 'a version was taken while its chain was locked: VERSION_LOCK does not work here');
      }
    },
  });
  const closing = new AsyncDisposableStack();
  try {
    closing.defer(() => db.close());
    const draining = new AbortController();
    const options = {
      service: createIepService(db),
      interceptors: [observe(log), mapErrors, endStreams(draining.signal), trustUserHeader],
      deadlines: config.deadlines,
      // One, as the process has one event loop.
      enter: createEntrance({ passGate: createTurnGate(db.writeQueue), draining: draining.signal, log }),
      log,
    };
    const grpc = await openGrpcListener(config.host, config.grpcPort, options);
    closing.defer(() => grpc.destroy());
    const http = await openHttpListener(config.host, config.httpPort, options);
    closing.defer(() => http.destroy());

    const stopped = new AbortController();
    void probeDatabase(db, stopped.signal, (reachable) => {
      log.warn({ reachable }, 'database');
      grpc.setServing(reachable && !draining.signal.aborted);
    });
    const resources = closing.move();
    return {
      grpcPort: grpc.port,
      httpPort: http.port,
      async stop() {
        stopped.abort();
        await drain({ grpc, http, draining, config, log });
        // A connection whose database is frozen never closes.
        await Promise.race([resources.disposeAsync(), sleep(CLOSE_LIMIT_MS, undefined, { ref: false })]);
      },
    };
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}
