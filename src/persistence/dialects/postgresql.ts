import { Socket } from 'node:net';
import { IsolationLevel } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import type { EntityManager } from '@mikro-orm/sql';
import { Initial } from '../migrations/postgresql/0001-initial.ts';
import { Lifecycle } from '../migrations/postgresql/0002-lifecycle.ts';
import { CheaperChecks } from '../migrations/postgresql/0003-cheaper-checks.ts';
import { RoomForSaves } from '../migrations/postgresql/0004-room-for-saves.ts';
import { BundlingClient, SEND, TOGETHER } from './bundling-client.ts';
import { copyRows } from './copying-query.ts';
import { classifier, codeOf, rootMessage } from './classify.ts';
import {
  type Chain,
  chainKey,
  type Dialect,
  type LockPatience,
  migrationsOf,
  ormOptions,
  type Query,
  type Rows,
  type VersionLock,
} from './dialect.ts';
import { QuotingDriver } from './quoting-driver.ts';

/** The longest that one attempt waits for a lock; the caller's deadline may allow another. */
const LOCK_WAIT_MS = 10_000;
/** How long a service may pause in a transaction past the deadline, before PostgreSQL takes it for frozen. */
const PAUSE_MS = 1000;
/**
 * A connection on which nothing moves for so long is dead, and its host may be gone without a word: no statement of the
 * service takes so long, and none waits so long for a lock.
 */
const SILENCE_MS = 2 * LOCK_WAIT_MS;

/** The head of every lock statement: it bounds the wait of that very statement, and those that follow. */
const LOCK_LIMITS = `select set_config('lock_timeout', ?, true), set_config('statement_timeout', ?, true),
  set_config('idle_in_transaction_session_timeout', ?, true)`;
const LOCK_CLOCK = `floor(extract(epoch from clock_timestamp()) * 1000)::float8 as now`;
const LOCK_STUDENT = `${LOCK_LIMITS}, ${LOCK_CLOCK} from students where district_id = ? and id = ? for no key update`;

/** The parameters of LOCK_LIMITS. */
function lockLimits(timeoutMs: number): string[] {
  const remaining = Math.max(1, Math.floor(timeoutMs));
  const limits = [
    Math.min(remaining, LOCK_WAIT_MS),
    Math.min(remaining, LOCK_WAIT_MS) + PAUSE_MS,
    remaining + PAUSE_MS,
  ];
  return limits.map((limit) => `${limit}ms`);
}

/** Ended by the service, or it would wait for the answer as long as TCP does. */
class SilentConnection extends Error {
  readonly code = 'ETIMEDOUT';
}

function openSocket(): Socket {
  const socket = new Socket();
  return socket.setTimeout(SILENCE_MS, () => socket.destroy(new SilentConnection()));
}

interface LockRow {
  readonly now: number;
  readonly [column: string]: unknown;
}

const timeOf = (row: LockRow | undefined) => (row === undefined ? new Date() : new Date(row.now));

/**
 * Enough to keep this process and the database busy while commits are flushed. With 8, 64 callers of many chains made
 * batches of 8 instead of 20, and each cost a quarter more.
 */
const SHARED_UNITS = 3;

/** 64 bits: 32-bit keys collide at about 65,000 chains. */
const CHAIN_KEY = `hashtextextended('iep:' || ?, 0)`;

/** A statement that locks chains, and what its answer says: the keys of those that it has locked. */
interface ChainLock {
  readonly query: Query;
  readonly lockedBy: (rows: readonly LockRow[]) => readonly string[];
}

type LockChains = (chains: readonly Chain[], patience: LockPatience) => ChainLock;

function lockByAdvisory(chains: readonly Chain[], { mayWait, timeoutMs }: LockPatience): ChainLock {
  const keys = chains.map(chainKey).sort();
  // Transaction-level: a session's lock outlives its caller behind a pooler.
  const lock = mayWait ? 'pg_advisory_xact_lock' : 'pg_try_advisory_xact_lock';
  const locks = keys.map((_, index) => `${lock}(${CHAIN_KEY}) as lock${index}`).join(', ');
  return {
    query: { sql: `${LOCK_LIMITS}, ${locks}, ${LOCK_CLOCK}`, params: [...lockLimits(timeoutMs), ...keys] },
    lockedBy: ([row]) => keys.filter((_, index) => mayWait || row?.[`lock${index}`] === true),
  };
}

function lockByRow(chains: readonly Chain[], { mayWait, timeoutMs }: LockPatience): ChainLock {
  const students = chains.map(() => '(district_id = ? and id = ?)').join(' or ');
  return {
    query: {
      sql: `${LOCK_LIMITS}, ${LOCK_CLOCK}, district_id, id from students where (${students})
        order by district_id, id for no key update ${mayWait ? '' : 'skip locked'}`,
      params: [...lockLimits(timeoutMs), ...chains.flatMap(({ districtId, studentId }) => [districtId, studentId])],
    },
    lockedBy: (rows) =>
      chains
        .filter(
          ({ districtId, studentId }) =>
            // A student who does not exist cannot be locked, and need not be.
            mayWait || rows.some((row) => row['district_id'] === districtId && row['id'] === studentId),
        )
        .map(chainKey),
  };
}

function lockNothing(chains: readonly Chain[], { timeoutMs }: LockPatience): ChainLock {
  return {
    query: { sql: `${LOCK_LIMITS}, ${LOCK_CLOCK}`, params: lockLimits(timeoutMs) },
    lockedBy: () => chains.map(chainKey),
  };
}

const LOCKS: Record<VersionLock, LockChains> = { advisory: lockByAdvisory, row: lockByRow, none: lockNothing };

/** By one message. */
async function askTogether(em: EntityManager, queries: readonly Query[]): Promise<Rows[]> {
  const sql = queries.map((query) => query.sql).join('; ');
  return em.execute(
    TOGETHER + sql,
    queries.flatMap(({ params }) => params),
  );
}

export const postgresql: Dialect = {
  async connect(url, poolSize) {
    const open = (max: number, options: object = { stream: openSocket, Client: BundlingClient }) =>
      MikroORM.init({
        ...ormOptions,
        driver: QuotingDriver,
        migrations: migrationsOf(postgresql),
        clientUrl: url,
        pool: { min: 0, max },
        driverOptions: {
          connectionTimeoutMillis: 5000,
          keepAlive: true,
          application_name: 'iep-service',
          ...options,
        },
      });
    const orm = await open(poolSize);
    const probe = await open(1);
    // A migration may take its time.
    const migrator = await open(1, {});
    return {
      writer: orm,
      reader: orm,
      probe,
      migrator,
      async close() {
        await Promise.all([orm, probe, migrator].map((one) => one.close(true)));
      },
    };
  },
  writers(poolSize) {
    // The rest stays free for reads, whatever the writers do.
    const total = poolSize < 3 ? poolSize : poolSize - Math.ceil(poolSize / 5);
    // One that keeps to itself may wait for another process as long as a lock lasts. If it had the last connection, all
    // others would wait with it: on pools of 2 and 3 such units run one at a time.
    return { shared: Math.min(SHARED_UNITS, total), own: Math.max(1, total - 1), total };
  },
  readers: (poolSize) => Math.max(1, poolSize - SHARED_UNITS),
  laneOf: (key) => key,
  // Above READ COMMITTED the snapshot is older than the lock, and the head that is read under it stale.
  transaction: { isolationLevel: IsolationLevel.READ_COMMITTED },
  async lockChains(em, lock, chains, patience, queries) {
    const { query, lockedBy } = LOCKS[lock](chains, patience);
    const [rows, ...answers] = await askTogether(em, [query, ...queries]);
    const locks = rows as readonly LockRow[];
    return { now: timeOf(locks[0]), keys: new Set(lockedBy(locks)), answers };
  },
  async lockStudent(em, districtId, id, timeoutMs) {
    const [row] = await em.execute<LockRow[]>(LOCK_STUDENT, [...lockLimits(timeoutMs), districtId, id]);
    return timeOf(row);
  },
  async lockIeps(em, districtId, ids) {
    const places = ids.map(() => '?').join(', ');
    // In one order, so that those who lock several never wait for each other. Without columns it answers nothing, and is sent
    // with the read that comes next.
    await em.execute(`select from ieps where district_id = ? and id in (${places}) order by id for no key update`, [
      districtId,
      ...ids,
    ]);
  },
  // Takes PostgreSQL two thirds of the time that it needs for the same rows as JSON or as constants.
  async appendRows(em, table, columns, rows) {
    await em.execute(copyRows(table, columns, rows));
  },
  async send(em) {
    await em.execute(SEND);
  },
  sql: {
    includes: (column) => `${column} @> to_jsonb(?::text)`,
    jsonTable(name, columns) {
      const typed = Object.entries(columns).map(([column, type]) => `${column} ${type}`);
      return `json_to_recordset(?::json) as ${name} (${typed.join(', ')})`;
    },
    jsonRows: (columns, orderBy) => `json_agg(json_build_array(${columns.join(', ')}) order by ${orderBy})`,
    json: (rows) => rows,
    feed: {
      columns: ['xid', 'seq'],
      // Transactions end in another order than they begin. Below the oldest one that is still under way all have ended.
      settled: 'xid < pg_snapshot_xmin(pg_current_snapshot())',
      after: '(xid, seq) > (?::xid8, ?::bigint)',
      // A database that was made as a copy of another one has its rows.
      identity: `(select database_identity.id || ':' || oid from database_identity, pg_database
        where datname = current_database())`,
    },
  },
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
  isVersionTaken: (error) => codeOf(error) === '23505' && rootMessage(error).includes('ieps_version_key'),
  isMissingTable: (error) => codeOf(error) === '42P01',
  migrations: [
    { name: '0001-initial', class: Initial },
    { name: '0002-lifecycle', class: Lifecycle },
    { name: '0003-cheaper-checks', class: CheaperChecks },
    { name: '0004-room-for-saves', class: RoomForSaves },
  ],
  migrationColumns:
    'id serial primary key, name varchar(255) not null, executed_at timestamptz not null default current_timestamp',
  migrationLock: `select pg_advisory_xact_lock(hashtextextended('iep:migrations', 0))`,
};
