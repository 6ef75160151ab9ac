import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MikroORM } from '@mikro-orm/sqlite';
import SqliteDatabase from 'better-sqlite3';
import { CompiledQuery, type DatabaseConnection, SqliteDialect, SqliteDriver } from 'kysely';
import { Initial } from '../migrations/sqlite/0001-initial.ts';
import { Lifecycle } from '../migrations/sqlite/0002-lifecycle.ts';
import { classifier, rootMessage } from './classify.ts';
import { chainKey, type Dialect, migrationsOf, ormOptions, type Rows } from './dialect.ts';

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
  return MikroORM.init({
    ...ormOptions,
    migrations: migrationsOf(sqlite),
    dbName: file,
    driverOptions: new ImmediateDialect(database),
  });
}

function jsonTable(columns: readonly string[]): string {
  const fields = columns.map((column) => `value ->> '${column}' as ${column}`);
  return `(select ${fields.join(', ')} from json_each(?))`;
}

export const sqlite: Dialect = {
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
      probe: reader,
      migrator: writer,
      async close() {
        await reader.close(true);
        await writer.close(true);
        if (folder !== undefined) {
          rmSync(folder, { recursive: true });
        }
      },
    };
  },
  writers: () => ({ shared: 1, own: 1, total: 1 }),
  // They run in this process, one after the other.
  readers: () => 1,
  // One writer per file.
  laneOf: () => 'file',
  transaction: {},
  // BEGIN IMMEDIATE holds the whole file.
  async lockChains(em, _lock, chains, _patience, queries) {
    const answers: Rows[] = [];
    for (const { sql, params } of queries) {
      answers.push(await em.execute(sql, [...params]));
    }
    return { now: new Date(), keys: new Set(chains.map(chainKey)), answers };
  },
  lockStudent: async () => new Date(),
  lockIeps: async () => undefined,
  // As one JSON array: to write each value as a constant of its own takes this process twice as long.
  async appendRows(em, table, columns, rows) {
    const names = columns.join(', ');
    await em.execute(`insert into ${table} (${names}) select ${names} from ${jsonTable(columns)}`, [
      JSON.stringify(rows),
    ]);
  },
  // Nothing waits: there is no way to go.
  send: async () => undefined,
  sql: {
    includes: (column) => `exists (select 1 from json_each(${column}) where value = ?)`,
    jsonTable: (name, columns) => `${jsonTable(Object.keys(columns))} as ${name}`,
    jsonRows: (columns, orderBy) => `json_group_array(json_array(${columns.join(', ')}) order by ${orderBy})`,
    json: (rows) => `json(${rows})`,
    // One writer at a time, so nothing comes before what is committed.
    feed: { columns: ['seq'], settled: 'true', after: 'seq > ?', identity: '(select id from database_identity)' },
  },
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
  isVersionTaken: (error) => /^UNIQUE constraint failed: .*ieps\.version/.test(rootMessage(error)),
  isMissingTable: (error) => /no such table/.test(rootMessage(error)),
  migrations: [
    { name: '0001-initial', class: Initial },
    { name: '0002-lifecycle', class: Lifecycle },
  ],
  migrationColumns:
    "id integer primary key autoincrement, name text not null, executed_at integer not null default (unixepoch('subsec') * 1000)",
  // BEGIN IMMEDIATE does it.
  migrationLock: 'select 1',
};
