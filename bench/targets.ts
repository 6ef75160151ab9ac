/** The service under load: a process of its own on 127.0.0.1, over a fresh database with the current schema. */
import { rm, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { migrate } from '../src/persistence/migrate.ts';
import { databaseUrl, execute, type PostgreSqlServer, startPostgreSql } from '../test/support/postgresql.ts';
import { startProcess, type ServiceProcess } from '../test/support/service.ts';
import { connectPostgreSql, connectSqlite, type TestDatabase } from '../test/support/sql.ts';
import { parentNamed, processSeconds } from './cpu.ts';

export const DATABASES = ['postgresql', 'sqlite'] as const;
export type DatabaseName = (typeof DATABASES)[number];

export interface Target {
  readonly name: DatabaseName;
  readonly service: ServiceProcess;
  /** Past the service. */
  readonly database: TestDatabase;
  /** Processor seconds of the database's processes so far; undefined where they cannot be told. */
  readonly databaseSeconds: () => number | undefined;
  /** How the service came to its end; undefined while it runs. */
  readonly endOfService: () => string | undefined;
}

/** Starts everything; `resources` stops and removes it, also when a later step fails. */
export async function startTarget(name: DatabaseName, resources: AsyncDisposableStack): Promise<Target> {
  const database = name === 'postgresql' ? await createPostgreSql(resources) : await createSqlite(resources);
  await migrate(database.url);
  const service = await startProcess(database.url);
  resources.defer(() => service.stop());
  return {
    name,
    service,
    database,
    databaseSeconds: await databaseClock(name, database),
    endOfService: watchEnd(service),
  };
}

const MAX_LAST_WORDS = 1000;

function watchEnd({ process: child }: ServiceProcess): () => string | undefined {
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-MAX_LAST_WORDS);
  });
  return () => {
    const end = child.signalCode ?? child.exitCode;
    return end === null ? undefined : `the service ended with ${end}: ${lastWords.trim() || 'it said nothing'}`;
  };
}

async function createPostgreSql(resources: AsyncDisposableStack): Promise<TestDatabase> {
  const given = process.env['TEST_POSTGRES_URL'];
  const server = given ? { url: given } : await ownPostgreSql(resources);
  const name = `iep_bench_${process.pid}`;
  await execute(server.url, `create database ${name}`);
  const database = connectPostgreSql(databaseUrl(server.url, name), () =>
    execute(server.url, `drop database ${name} with (force)`),
  );
  resources.defer(() => database.drop());
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

/** SQLite has no process: its work is the service's. */
async function databaseClock(name: DatabaseName, database: TestDatabase): Promise<() => number | undefined> {
  if (name === 'sqlite') {
    return () => undefined;
  }
  const [row] = await database.query('select pg_backend_pid() as pid');
  const postmaster = parentNamed('postgres', Number(row?.['pid']));
  return () => (postmaster === undefined ? undefined : processSeconds(postmaster));
}
