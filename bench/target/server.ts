/** Where databases come from: a PostgreSQL with its flush as it is or slowed down, or files of SQLite. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { databaseUrl, execute, type PostgreSqlServer, startPostgreSql } from '../../test/support/postgresql.ts';
import { connectPostgreSql, connectSqlite, type TestDatabase } from '../../test/support/sql.ts';

/** `postgresql-1ms` waits 1 ms before each flush, like a disk that needs as long for one. */
export const DATABASES = ['postgresql', 'postgresql-1ms', 'sqlite'] as const;
export type DatabaseName = (typeof DATABASES)[number];

export interface Server {
  readonly name: DatabaseName;
  /** Without any schema. `resources` drops it. */
  createDatabase(resources: AsyncDisposableStack): Promise<TestDatabase>;
}

/** `resources` stops it, if it is ours. */
export async function startServer(name: DatabaseName, resources: AsyncDisposableStack): Promise<Server> {
  if (name === 'sqlite') {
    return { name, createDatabase: createSqlite };
  }
  const given = process.env['TEST_POSTGRES_URL'];
  const { url } = given ? { url: given } : await ownPostgreSql(resources);
  const settings = FLUSH_SETTINGS[name];
  let count = 0;
  return { name, createDatabase: (own) => createPostgreSql(url, `iep_bench_${process.pid}_${++count}`, settings, own) };
}

type FlushSettings = Readonly<Record<string, string>>;

/** What a fresh connection must say, or the flush is not the one that the figures are said to come from. */
const SAFE: FlushSettings = { fsync: 'on', synchronous_commit: 'on' };
const FLUSH_SETTINGS: Record<'postgresql' | 'postgresql-1ms', FlushSettings> = {
  postgresql: { commit_delay: '0' },
  // In microseconds, and however few other transactions are open.
  'postgresql-1ms': { commit_delay: '1000', commit_siblings: '0' },
};

async function createPostgreSql(
  serverUrl: string,
  name: string,
  settings: FlushSettings,
  resources: AsyncDisposableStack,
): Promise<TestDatabase> {
  await execute(serverUrl, `create database ${name}`);
  const database = connectPostgreSql(databaseUrl(serverUrl, name), () =>
    execute(serverUrl, `drop database ${name} with (force)`),
  );
  resources.defer(() => database.drop());
  for (const [setting, value] of Object.entries(settings)) {
    await execute(serverUrl, `alter database ${name} set ${setting} = ${value}`);
  }
  for (const [setting, value] of Object.entries({ ...SAFE, ...settings })) {
    const [row] = await database.query('select current_setting(?) as value', setting);
    if (row?.['value'] !== value) {
      throw new Error(`PostgreSQL has ${setting} = ${String(row?.['value'])}, and the figures need ${value}`);
    }
  }
  return database;
}

/** Ctrl-C reaches PostgreSQL too, and to stop a server that has ended would wait for ever. */
async function ownPostgreSql(resources: AsyncDisposableStack): Promise<Pick<PostgreSqlServer, 'url'>> {
  const server = await startPostgreSql();
  const administrator = connectPostgreSql(server.url);
  const [row] = await administrator.query('show data_directory');
  await administrator.drop();
  const pidFile = path.join(String(row?.['data_directory']), 'postmaster.pid');
  const pid = Number.parseInt(await readFile(pidFile, 'utf8'), 10);
  resources.defer(async () => {
    if (isRunning(pid)) {
      await server.stop();
    }
  });
  return server;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function createSqlite(resources: AsyncDisposableStack): Promise<TestDatabase> {
  const folder = await mkdtemp(path.join(tmpdir(), 'iep-sqlite-'));
  const database = connectSqlite(path.join(folder, 'iep.db'), () => rm(folder, { recursive: true }));
  resources.defer(() => database.drop());
  return database;
}
