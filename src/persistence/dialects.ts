/** The one place where PostgreSQL and SQLite differ. Nothing outside asks which of them is below. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { IsolationLevel, type MigrationObject, type MikroORM, type TransactionOptions } from '@mikro-orm/core';
import { MikroORM as PostgreSqlOrm } from '@mikro-orm/postgresql';
import type { EntityManager } from '@mikro-orm/sql';
import { MikroORM as SqliteOrm } from '@mikro-orm/sqlite';
import SqliteDatabase from 'better-sqlite3';
import { CompiledQuery, SqliteDialect, SqliteDriver, type DatabaseConnection } from 'kysely';
import { entities } from './entities.ts';
import { Initial as PostgreSqlInitial } from './migrations/postgresql/0001-initial.ts';
import { Initial as SqliteInitial } from './migrations/sqlite/0001-initial.ts';
import type { Failure } from './retry.ts';

/** One student's versions in one academic year. */
export interface Chain {
  readonly districtId: string;
  readonly studentId: string;
  readonly academicYear: string;
}

export function chainKey({ districtId, studentId, academicYear }: Chain): string {
  return `${districtId}:${studentId}:${academicYear}`;
}

/**
 * How writers of one chain wait for each other: `advisory` by a transaction-level advisory lock; `row` by a lock on the
 * student's row, which engines with many nodes see everywhere; `none` not at all, so that the unique key and the retries
 * carry everything.
 */
export type VersionLock = 'advisory' | 'row' | 'none';

export interface Connections {
  readonly writer: MikroORM;
  readonly reader: MikroORM;
  close(): Promise<void>;
}

interface LockedChains {
  /** The database's time when they were locked. */
  readonly now: Date;
  /** Keys of the locked chains. */
  readonly keys: ReadonlySet<string>;
}

export interface Dialect {
  readonly connect: (url: string, poolSize: number) => Promise<Connections>;
  /** Units of work that may run at once on a pool of this size. */
  readonly writers: (poolSize: number) => number;
  /** The write lane that a key belongs to. */
  readonly laneOf: (key: string) => string;
  readonly transaction: TransactionOptions;
  /**
   * Locks chains until the transaction ends. One chain is waited for, at most `timeoutMs`. Of several, those that another
   * process holds are left out, so that no chain waits for another's holder.
   */
  readonly lockChains: (
    em: EntityManager,
    lock: VersionLock,
    chains: readonly Chain[],
    timeoutMs: number,
  ) => Promise<LockedChains>;
  /** Keeps other writers from the student's row until the transaction ends; answers the database's time then. */
  readonly lockStudent: (em: EntityManager, districtId: string, id: string, timeoutMs: number) => Promise<Date>;
  /** SQL that is true where the JSON array in `column` holds the string of its one parameter. */
  readonly includes: (column: string) => string;
  readonly classify: (error: unknown) => Failure;
  readonly isMissingTable: (error: unknown) => boolean;
  readonly migrations: MigrationObject[];
  /** Keeps other processes from migrating until the transaction ends. */
  readonly migrationLock: string;
  /** The columns that the ORM's migrator keeps its record in. */
  readonly migrationColumns: string;
}

/** Where the ORM's migrator keeps its record. */
export const MIGRATIONS_TABLE = 'schema_migrations';

const shared = {
  entities,
  // Errors reach the caller; the ORM's own log would print parameters.
  logger: () => undefined,
  metadataCache: { enabled: false },
};

const migrationsOf = ({ migrations }: Dialect) => ({
  migrationsList: migrations,
  tableName: MIGRATIONS_TABLE,
  snapshot: false,
});

/** `code` of an error, or of the error that it wraps. */
function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') {
      return at.code;
    }
  }
  return undefined;
}

/** The message of the innermost error: some of pg's errors carry no code. */
function rootMessage(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause !== undefined) {
    root = root.cause;
  }
  return root instanceof Error ? root.message : '';
}

function classifier(table: Partial<Record<Failure, readonly string[]>>, byMessage: readonly [RegExp, Failure][] = []) {
  const byCode = new Map<string, Failure>();
  for (const [failure, codes] of Object.entries(table)) {
    codes.forEach((code) => byCode.set(code, failure as Failure));
  }
  return (error: unknown): Failure => {
    const code = codeOf(error);
    if (code !== undefined) {
      return byCode.get(code) ?? 'permanent';
    }
    const message = rootMessage(error);
    return byMessage.find(([pattern]) => pattern.test(message))?.[1] ?? 'permanent';
  };
}

/** The head of every lock statement: it bounds the wait of that very statement, and the life of a frozen service's locks. */
const LOCK_LIMITS = `select set_config('lock_timeout', ?, true), set_config('idle_in_transaction_session_timeout', ?, true)`;
/** How long a service may pause in a transaction past the deadline, before PostgreSQL takes it for frozen. */
const PAUSE_MS = 1000;
const LOCK_CLOCK = `floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now`;
const LOCK_STUDENT = `${LOCK_LIMITS}, ${LOCK_CLOCK} from students where district_id = ? and id = ? for no key update`;

/** The parameters of LOCK_LIMITS. */
function lockLimits(timeoutMs: number): string[] {
  const limit = Math.max(1, Math.min(Math.floor(timeoutMs), 2 ** 30));
  return [`${limit}ms`, `${limit + PAUSE_MS}ms`];
}

interface LockRow {
  readonly now: number;
  readonly [column: string]: unknown;
}

const timeOf = (row: LockRow | undefined) => (row === undefined ? new Date() : new Date(row.now));

/** 64 bits: 32-bit keys collide at about 65,000 chains. */
const CHAIN_KEY = `hashtextextended('iep:' || ?, 0)`;

async function lockByAdvisory(em: EntityManager, chains: readonly Chain[], limits: string[]): Promise<LockedChains> {
  const keys = chains.map(chainKey);
  // Transaction-level: a session's lock outlives its caller behind a pooler.
  const locks =
    keys.length === 1
      ? `pg_advisory_xact_lock(${CHAIN_KEY})`
      : keys.map((_, index) => `pg_try_advisory_xact_lock(${CHAIN_KEY}) as lock${index}`).join(', ');
  const [row] = await em.execute<LockRow[]>(`${LOCK_LIMITS}, ${locks}, ${LOCK_CLOCK}`, [...limits, ...keys]);
  const locked = keys.length === 1 ? keys : keys.filter((_, index) => row?.[`lock${index}`] === true);
  return { now: timeOf(row), keys: new Set(locked) };
}

async function lockByRow(em: EntityManager, chains: readonly Chain[], limits: string[]): Promise<LockedChains> {
  const [first, ...others] = chains;
  if (others.length === 0) {
    const [row] = await em.execute<LockRow[]>(LOCK_STUDENT, [...limits, first!.districtId, first!.studentId]);
    return { now: timeOf(row), keys: new Set(chains.map(chainKey)) };
  }
  const rows = await em.execute<LockRow[]>(
    `${LOCK_LIMITS}, ${LOCK_CLOCK}, district_id, id from students
     where (${chains.map(() => '(district_id = ? and id = ?)').join(' or ')}) for no key update skip locked`,
    [...limits, ...chains.flatMap(({ districtId, studentId }) => [districtId, studentId])],
  );
  const locked = chains.filter(({ districtId, studentId }) =>
    rows.some((row) => row['district_id'] === districtId && row['id'] === studentId),
  );
  return { now: timeOf(rows[0]), keys: new Set(locked.map(chainKey)) };
}

const postgresql: Dialect = {
  async connect(url, poolSize) {
    const orm = await PostgreSqlOrm.init({
      ...shared,
      migrations: migrationsOf(postgresql),
      clientUrl: url,
      pool: { min: 0, max: poolSize },
      driverOptions: { connectionTimeoutMillis: 5000, keepAlive: true, application_name: 'iep-service' },
    });
    return { writer: orm, reader: orm, close: () => orm.close(true) };
  },
  // The rest stays free for reads, whatever the writers do.
  writers: (poolSize) => (poolSize < 3 ? poolSize : poolSize - Math.ceil(poolSize / 5)),
  laneOf: (key) => key,
  // Above READ COMMITTED the snapshot is older than the lock, and the head that is read under it stale.
  transaction: { isolationLevel: IsolationLevel.READ_COMMITTED },
  async lockChains(em, lock, chains, timeoutMs) {
    const limits = lockLimits(timeoutMs);
    switch (lock) {
      case 'advisory':
        return lockByAdvisory(em, chains, limits);
      case 'row':
        return lockByRow(em, chains, limits);
      case 'none': {
        const [row] = await em.execute<LockRow[]>(`${LOCK_LIMITS}, ${LOCK_CLOCK}`, limits);
        return { now: timeOf(row), keys: new Set(chains.map(chainKey)) };
      }
    }
  },
  async lockStudent(em, districtId, id, timeoutMs) {
    const [row] = await em.execute<LockRow[]>(LOCK_STUDENT, [...lockLimits(timeoutMs), districtId, id]);
    return timeOf(row);
  },
  includes: (column) => `${column} @> to_jsonb(?::text)`,
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  classify: classifier(
    {
      conflict: ['40001', '40P01', '55P03', '57014', '23505'],
      unreachable: ['53300', '57P03', '08001', '08004', 'ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH'],
      ambiguous: ['08006', '08003', '40003', '57P01', '57P02', '25P03', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'],
      capacity: ['53100', '53200'],
    },
    [
      [/^timeout exceeded when trying to connect/, 'busy'],
      [/^Connection terminated|^Client has encountered a connection error/, 'ambiguous'],
    ],
  ),
  isMissingTable: (error) => codeOf(error) === '42P01',
  migrations: [{ name: '0001-initial', class: PostgreSqlInitial }],
  migrationColumns:
    'id serial primary key, name varchar(255) not null, executed_at timestamptz not null default current_timestamp',
  migrationLock: `select pg_advisory_xact_lock(hashtextextended('iep:migrations', 0))`,
};

/** A deferred transaction that reads, then writes, may die with a SQLITE_BUSY_SNAPSHOT that no waiting can cure. */
class ImmediateDriver extends SqliteDriver {
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }
}

class ImmediateDialect extends SqliteDialect {
  readonly #database: SqliteDatabase.Database;

  constructor(database: SqliteDatabase.Database) {
    super({ database });
    this.#database = database;
  }

  override createDriver(): SqliteDriver {
    return new ImmediateDriver({ database: this.#database });
  }
}

async function openSqlite(file: string, readonly: boolean): Promise<MikroORM> {
  const database = new SqliteDatabase(file, { readonly, timeout: 5000 });
  if (!readonly) {
    database.pragma('journal_mode = WAL');
    // An acknowledged version survives a power loss.
    database.pragma('synchronous = FULL');
  }
  // Waiting inside SQLite would stop the event loop; whoever meets a lock comes back by the retry loop.
  database.pragma('busy_timeout = 0');
  return SqliteOrm.init({
    ...shared,
    migrations: migrationsOf(sqlite),
    dbName: file,
    driverOptions: new ImmediateDialect(database),
  });
}

const sqlite: Dialect = {
  async connect(url) {
    const name = url.slice('sqlite:'.length);
    // A reader on a connection of its own cannot see another's memory, so `:memory:` is a file that goes at the end.
    const folder = name === ':memory:' ? mkdtempSync(path.join(tmpdir(), 'iep-')) : undefined;
    const file = folder === undefined ? path.resolve(name) : path.join(folder, 'iep.db');
    mkdirSync(path.dirname(file), { recursive: true });
    const writer = await openSqlite(file, false);
    const reader = await openSqlite(file, true);
    return {
      writer,
      reader,
      async close() {
        await reader.close(true);
        await writer.close(true);
        if (folder !== undefined) {
          rmSync(folder, { recursive: true });
        }
      },
    };
  },
  writers: () => 1,
  // One writer per file.
  laneOf: () => 'file',
  transaction: {},
  // BEGIN IMMEDIATE holds the whole file.
  lockChains: async (_em, _lock, chains) => ({ now: new Date(), keys: new Set(chains.map(chainKey)) }),
  lockStudent: async () => new Date(),
  includes: (column) => `exists (select 1 from json_each(${column}) where value = ?)`,
  // https://www.sqlite.org/rescode.html
  classify: classifier({
    conflict: [
      'SQLITE_BUSY',
      'SQLITE_BUSY_SNAPSHOT',
      'SQLITE_BUSY_RECOVERY',
      'SQLITE_LOCKED',
      'SQLITE_CONSTRAINT_UNIQUE',
      'SQLITE_CONSTRAINT_PRIMARYKEY',
    ],
    unreachable: ['SQLITE_CANTOPEN'],
    ambiguous: ['SQLITE_IOERR', 'SQLITE_IOERR_FSYNC', 'SQLITE_IOERR_WRITE'],
    capacity: ['SQLITE_FULL', 'SQLITE_NOMEM', 'SQLITE_IOERR_NOMEM'],
  }),
  isMissingTable: (error) => /no such table/.test(rootMessage(error)),
  migrations: [{ name: '0001-initial', class: SqliteInitial }],
  migrationColumns:
    "id integer primary key autoincrement, name text not null, executed_at integer not null default (unixepoch('subsec') * 1000)",
  // BEGIN IMMEDIATE does it.
  migrationLock: 'select 1',
};

/** The dialect that a DATABASE_URL names. */
export function dialectOf(url: string): Dialect {
  return url.startsWith('sqlite:') ? sqlite : postgresql;
}
