/** The service under load: a process of its own on 127.0.0.1, over a fresh database with the current schema. */
import { migrate } from '../../src/persistence/migrate.ts';
import { startProcess, type ServiceProcess } from '../../test/support/service.ts';
import type { TestDatabase } from '../../test/support/sql.ts';
import { InvalidRun } from '../invalid-run.ts';
import { parentNamed, processSeconds } from './processes.ts';
import type { DatabaseName, Server } from './server.ts';
import { watchService } from './watch-service.ts';

export interface Target {
  readonly name: DatabaseName;
  readonly service: ServiceProcess;
  /** Like `127.0.0.1:50051`. */
  readonly address: string;
  /** Past the service. */
  readonly database: TestDatabase;
  /** Processor seconds of the database's processes so far; undefined where they cannot be told. */
  readonly databaseSeconds: () => number | undefined;
  /** Units of work that the service has tried again so far. */
  readonly retries: () => number;
  /** Throws an InvalidRun when the service has come to its end. */
  readonly requireService: () => void;
}

/** Starts everything; `resources` stops and removes it, also when a later step fails. */
export async function startTarget(server: Server, resources: AsyncDisposableStack): Promise<Target> {
  const database = await server.createDatabase(resources);
  await migrate(database.url);
  return startOn(server.name, database, resources);
}

/** Starts the service over a database that is ready, beside others where there are any. */
export async function startOn(
  name: DatabaseName,
  database: TestDatabase,
  resources: AsyncDisposableStack,
): Promise<Target> {
  // At this level it logs a line for each retry, and none for a call that went well.
  const service = await startProcess(database.url, { LOG_LEVEL: 'info' });
  resources.defer(() => service.stop());
  const watch = watchService(service.process);
  return {
    name,
    service,
    address: new URL(service.grpcUrl).host,
    database,
    databaseSeconds: await databaseClock(name, database),
    retries: watch.retries,
    requireService() {
      const end = watch.end();
      if (end !== undefined) {
        throw new InvalidRun(end);
      }
    },
  };
}

/** SQLite has no process: its work is the service's. */
async function databaseClock(name: DatabaseName, database: TestDatabase): Promise<() => number | undefined> {
  if (name === 'sqlite') {
    return () => undefined;
  }
  const [row] = await database.query('select pg_backend_pid() as pid');
  const postmaster = parentNamed('postgres', Number(row?.['pid']));
  return () => (postmaster === undefined ? undefined : processSeconds(postmaster));
}
