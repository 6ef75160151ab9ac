import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager } from '@mikro-orm/sql';
import { type Connections, dialectOf } from './dialects.ts';
import { withRetries } from './retry.ts';

const TABLE = 'schema_migrations';
/** How long a process waits for another one that migrates. */
const PATIENCE_MS = 60_000;

/** Brings the schema up to date. Processes that start together take turns, and the later ones find nothing to do. */
export async function migrate(url: string): Promise<void> {
  const dialect = dialectOf(url);
  const connections = await dialect.connect(url, 1);
  try {
    const { writer } = connections;
    writer.config.set('migrations', {
      ...writer.config.get('migrations'),
      migrationsList: dialect.migrations,
      tableName: TABLE,
      snapshot: false,
    });
    const call = { deadline: Date.now() + PATIENCE_MS, signal: AbortSignal.timeout(PATIENCE_MS) };
    const inTurn = (work: (em: EntityManager) => Promise<unknown>) => {
      const attempt = () =>
        (writer.em.fork() as EntityManager).transactional(async (em) => {
          await em.execute(dialect.migrationLock);
          await work(em);
        });
      return withRetries(attempt, { call, classify: dialect.classify });
    };
    // The migrator would make its table outside the transaction, where two processes race for it.
    await inTurn((em) => em.execute(`create table if not exists ${TABLE} (${dialect.migrationColumns})`));
    const migrator = new Migrator(writer.em as EntityManager);
    await migrator.getExecuted();
    await inTurn((em) => migrator.up({ transaction: em.getTransactionContext()! }));
  } finally {
    await connections.close();
  }
}

/** Names of the migrations that the database has not seen. */
export async function pendingMigrations(url: string): Promise<string[]> {
  const dialect = dialectOf(url);
  const connections: Connections = await dialect.connect(url, 1);
  try {
    const em = connections.reader.em.fork() as EntityManager;
    const done = new Set((await em.execute<{ name: string }[]>(`select name from ${TABLE}`)).map(({ name }) => name));
    return dialect.migrations.map(({ name }) => name).filter((name) => !done.has(name));
  } catch (error) {
    if (dialect.isMissingTable(error)) {
      return dialect.migrations.map(({ name }) => name);
    }
    throw error;
  } finally {
    await connections.close();
  }
}
