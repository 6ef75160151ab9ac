import { Migrator } from '@mikro-orm/migrations';
import type { EntityManager } from '@mikro-orm/sql';
import { type Connections, type Dialect, MIGRATIONS_TABLE } from './dialects/dialect.ts';
import { dialectOf } from './dialects/dialects.ts';
import { withRetries } from './retry.ts';

/** How long a process waits for another one that migrates. */
const PATIENCE_MS = 60_000;
/** Only for another process: a database that is not there is the caller's to know at once. */
const POLICIES = { conflict: { baseMs: 5, capMs: 250, attempts: Infinity } };

/** Brings the schema of a database up to date. */
export async function migrate(url: string): Promise<void> {
  const dialect = dialectOf(url);
  const connections = await dialect.connect(url, 1);
  try {
    await migrateSchema(connections, dialect);
  } finally {
    await connections.close();
  }
}

/** Brings the schema up to date. Processes that start together take turns, and the later ones find nothing to do. */
export async function migrateSchema({ migrator: orm }: Connections, dialect: Dialect): Promise<void> {
  const call = { deadline: Date.now() + PATIENCE_MS, signal: AbortSignal.timeout(PATIENCE_MS) };
  const inTurn = (work: (em: EntityManager) => Promise<unknown>) => {
    const attempt = () =>
      (orm.em.fork() as EntityManager).transactional(async (em) => {
        await em.execute(dialect.migrationLock);
        await work(em);
      });
    return withRetries(attempt, { call, classify: dialect.classify, policies: POLICIES });
  };
  // The migrator would make its table outside the transaction, where two processes race for it.
  await inTurn((em) => em.execute(`create table if not exists ${MIGRATIONS_TABLE} (${dialect.migrationColumns})`));
  const migrator = new Migrator(orm.em as EntityManager);
  await migrator.getExecuted();
  await inTurn((em) => migrator.up({ transaction: em.getTransactionContext()! }));
}

/** Throws an error that names the migrations which the database has not seen. */
export async function requireSchema({ reader }: Connections, dialect: Dialect): Promise<void> {
  const missing = new Set(dialect.migrations.map(({ name }) => name));
  const em = reader.em.fork() as EntityManager;
  try {
    const done = await em.execute<{ name: string }[]>(`select name from ${MIGRATIONS_TABLE}`);
    done.forEach(({ name }) => missing.delete(name));
  } catch (error) {
    if (!dialect.isMissingTable(error)) {
      throw error;
    }
  }
  if (missing.size > 0) {
    throw new Error(`the database lacks ${[...missing].join(', ')}. Run npm run migrate, or start with MIGRATE=auto.`);
  }
}
