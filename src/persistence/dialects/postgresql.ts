import { IsolationLevel } from '@mikro-orm/core';
import { MikroORM } from '@mikro-orm/postgresql';
import type { EntityManager } from '@mikro-orm/sql';
import { Initial } from '../migrations/postgresql/0001-initial.ts';
import { Lifecycle } from '../migrations/postgresql/0002-lifecycle.ts';
import { classifier, codeOf } from './classify.ts';
import { type Chain, chainKey, type Dialect, type LockedChains, migrationsOf, ormOptions } from './dialect.ts';

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

export const postgresql: Dialect = {
  async connect(url, poolSize) {
    const open = (max: number) =>
      MikroORM.init({
        ...ormOptions,
        migrations: migrationsOf(postgresql),
        clientUrl: url,
        pool: { min: 0, max },
        driverOptions: { connectionTimeoutMillis: 5000, keepAlive: true, application_name: 'iep-service' },
      });
    const orm = await open(poolSize);
    const probe = await open(1);
    return {
      writer: orm,
      reader: orm,
      probe,
      async close() {
        await orm.close(true);
        await probe.close(true);
      },
    };
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
  migrations: [
    { name: '0001-initial', class: Initial },
    { name: '0002-lifecycle', class: Lifecycle },
  ],
  migrationColumns:
    'id serial primary key, name varchar(255) not null, executed_at timestamptz not null default current_timestamp',
  migrationLock: `select pg_advisory_xact_lock(hashtextextended('iep:migrations', 0))`,
};
