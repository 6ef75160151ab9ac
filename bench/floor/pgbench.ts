/** pgbench, PostgreSQL's own load generator, as a child process. */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { findExecutable } from '../executable.ts';
import { messageOf } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';

const execute = promisify(execFile);

const DEBIAN_FOLDER = '/usr/lib/postgresql';

/** On the PATH, beside the other programs of the PostgreSQL that `pg_config` is of, or where Debian puts them. An older one than the server will do. */
export function findPgbench(): Promise<string | undefined> {
  return findExecutable('pgbench', async () => {
    const configured = await execute('pg_config', ['--bindir']).then(
      ({ stdout }) => [stdout.trim()],
      () => [],
    );
    const versions = await readdir(DEBIAN_FOLDER).catch(() => []);
    const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
    return [...configured, ...newestFirst.map((version) => path.join(DEBIAN_FOLDER, version, 'bin'))];
  });
}

export interface PgbenchOrder {
  readonly databaseUrl: string;
  /** File with one transaction. */
  readonly script: string;
  /** What the script has as `:name`. */
  readonly variables: Readonly<Record<string, string>>;
  readonly clients: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export interface PgbenchResult {
  readonly transactions: number;
  readonly transactionsPerSecond: number;
}

const GRACE_MS = 30_000;

/**
 * Each client sends the transaction again and again, statement by statement, as an ORM does. `-M extended`: the statements
 * are parsed each time and their parameters sent apart from them, as node-postgres does it unless statements are named.
 */
export async function runPgbench(pgbench: string, order: PgbenchOrder): Promise<PgbenchResult> {
  const { hostname, port, username, password, pathname, searchParams } = new URL(order.databaseUrl);
  const args = [
    '--no-vacuum',
    '--protocol=extended',
    `--client=${order.clients}`,
    '--jobs=2',
    `--time=${order.seconds}`,
    `--file=${order.script}`,
    ...Object.entries(order.variables).map(([name, value]) => `--define=${name}=${value}`),
    `--host=${hostname}`,
    `--port=${port || '5432'}`,
    `--username=${decodeURIComponent(username)}`,
    decodeURIComponent(pathname.slice(1)),
  ];
  const sslMode = searchParams.get('sslmode');
  const env = { PGPASSWORD: decodeURIComponent(password), ...(sslMode !== null && { PGSSLMODE: sslMode }) };
  const timeLimit = AbortSignal.timeout(order.seconds * 1000 + GRACE_MS);
  try {
    const signal = AbortSignal.any([order.signal, timeLimit]);
    const { stdout } = await execute(pgbench, args, { env, signal, killSignal: 'SIGKILL' });
    return resultOf(stdout);
  } catch (error) {
    if (error instanceof InvalidRun) {
      throw error;
    }
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new InvalidRun(`pgbench failed: ${stderr.slice(0, 500) || messageOf(error)}`, { cause: error });
  }
}

/** What pgbench (14 and later) prints at its end. A transaction that failed makes the run invalid. */
export function resultOf(stdout: string): PgbenchResult {
  const transactions = /^number of transactions actually processed: (\d+)/m.exec(stdout)?.[1];
  const rate = /^tps = ([\d.]+) \(without initial connection time\)/m.exec(stdout)?.[1];
  const failed = /^number of failed transactions: (\d+)/m.exec(stdout)?.[1] ?? '0';
  if (transactions === undefined || rate === undefined) {
    throw new InvalidRun(`what pgbench printed cannot be read: ${stdout.slice(0, 500)}`);
  }
  if (Number(failed) > 0 || Number(transactions) === 0) {
    throw new InvalidRun(`pgbench: ${transactions} transactions were processed and ${failed} failed`);
  }
  return { transactions: Number(transactions), transactionsPerSecond: Number(rate) };
}
