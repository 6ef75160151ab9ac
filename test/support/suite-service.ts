/** The database and the service that the tests of a suite share. */
import { afterAll, beforeAll } from 'vitest';
import { type Backend, expectInvariants } from './databases.ts';
import { type IepClient, type LogLines, type RunningService, startInProcess } from './service.ts';
import type { TestDatabase } from './sql.ts';

export interface SuiteService {
  readonly database: TestDatabase;
  readonly service: RunningService & { readonly log: LogLines };
  /** The service's, by native gRPC. */
  readonly client: IepClient;
}

/**
 * Starts a service on a fresh database before the suite, and hands both over. After the suite the invariants must hold; one
 * that does not fails the run.
 */
export function startForSuite(
  backend: Backend,
  take: (started: SuiteService) => unknown,
  env: Record<string, string> = {},
): void {
  let started: SuiteService;

  beforeAll(async () => {
    const database = await backend.create();
    const service = await startInProcess(database.url, env);
    started = { database, service, client: service.client };
    take(started);
  });

  afterAll(async () => {
    await started.service.stop();
    try {
      await expectInvariants(started.database);
    } finally {
      await started.database.drop();
    }
  });
}
