/** Each error that the retry policy knows, provoked on the real database, leads to another attempt in a fresh unit. */
import { randomUUIDv7 } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import { Student } from '../src/persistence/entities.ts';
import type { Retry } from '../src/persistence/retry.ts';
import { postgresql, sqlite } from './support/databases.ts';
import type { TestDatabase } from './support/sql.ts';

const patient = () => ({ deadline: Date.now() + 20_000, signal: AbortSignal.timeout(20_000) });
const codesOf = (retries: Retry[]) => retries.map(({ failure, error }) => [failure, (error as { code?: string }).code]);

function student(studentNumber: string) {
  const now = new Date();
  return {
    districtId: 'default',
    id: randomUUIDv7(),
    studentNumber,
    givenName: 'Ada',
    familyName: 'Lovelace',
    givenNameFolded: 'ADA',
    familyNameFolded: 'LOVELACE',
    disabilities: [],
    createTime: now,
    updateTime: now,
    rowVersion: 1,
  };
}

describe('on PostgreSQL', () => {
  let database: TestDatabase;
  let db: Database;
  let other: Client;
  let retries: Retry[];
  let onRetry: () => Promise<unknown>;

  beforeEach(async () => {
    database = await postgresql.create();
    retries = [];
    onRetry = async () => undefined;
    db = await openDatabase({
      url: database.url,
      poolSize: 4,
      versionLock: 'advisory',
      migrate: 'off',
      onRetry: (retry) => {
        retries.push(retry);
        void onRetry();
      },
    });
    other = new Client(database.url);
    await other.connect();
    await other.query('create table marks (id text primary key, value integer)');
    await other.query(`insert into marks values ('a', 0), ('b', 0)`);
  });
  afterEach(async () => {
    await other.end();
    await db.close();
    await database.drop();
  });

  it('40001: the snapshot is too old', async () => {
    await db.unitOfWork('lane', patient(), async ({ em, attempt }) => {
      await em.execute('set transaction isolation level repeatable read');
      await em.execute(`select value from marks where id = 'a'`);
      if (attempt === 1) {
        await other.query(`update marks set value = value + 1 where id = 'a'`);
      }
      await em.execute(`update marks set value = value + 10 where id = 'a'`);
    });
    expect(codesOf(retries)).toEqual([['conflict', '40001']]);
    expect(await database.query(`select value from marks where id = 'a'`)).toEqual([{ value: 11 }]);
  });

  it('40P01: two transactions wait for each other', async () => {
    let waiting: Promise<unknown> | undefined;
    await db.unitOfWork('lane', patient(), async ({ em, attempt }) => {
      if (attempt === 1) {
        // The unit looks for the deadlock first, so it is the one that ends.
        await em.execute(`set local deadlock_timeout = '20ms'`);
        await other.query(`set deadlock_timeout = '20s'`);
        await other.query('begin');
        await other.query(`update marks set value = value + 1 where id = 'b'`);
      }
      await em.execute(`update marks set value = value + 10 where id = 'a'`);
      waiting ??= other.query(`update marks set value = value + 1 where id = 'a'`).then(() => other.query('commit'));
      await em.execute(`update marks set value = value + 10 where id = 'b'`);
    });
    await waiting;
    expect(codesOf(retries)).toEqual([['conflict', '40P01']]);
    expect(await database.query('select value from marks')).toEqual([{ value: 11 }, { value: 11 }]);
  });

  it('55P03: a lock is not to be had', async () => {
    await other.query('begin');
    await other.query(`select value from marks where id = 'a' for update`);
    onRetry = () => other.query('rollback');
    await db.unitOfWork('lane', patient(), ({ em }) =>
      em.execute(`select value from marks where id = 'a' for update nowait`),
    );
    expect(codesOf(retries)[0]).toEqual(['conflict', '55P03']);
  });

  it('57P01: the connection is ended before the commit', async () => {
    await db.unitOfWork('lane', patient(), async ({ em, attempt }) => {
      await em.execute(`update marks set value = value + 10 where id = 'a'`);
      if (attempt === 1) {
        const [{ pid } = {}] = await em.execute<{ pid: number }[]>('select pg_backend_pid() as pid');
        await other.query('select pg_terminate_backend($1)', [pid]);
      }
      await em.execute('select 1');
    });
    expect(retries.map(({ failure }) => failure)).toEqual(['unreachable']);
    expect(await database.query(`select value from marks where id = 'a'`)).toEqual([{ value: 10 }]);
  });

  it('loses no connection for good when many die inside a transaction', async () => {
    for (let round = 0; round < 10; round++) {
      await db.unitOfWork('lane', patient(), async ({ em, attempt }) => {
        if (attempt === 1) {
          await other.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'iep-service'`,
          );
        }
        await em.execute('select 1');
      });
    }
    expect(retries.length).toBeGreaterThanOrEqual(10);
    // All that may keep to themselves, at once: each unit waits until the other holds its connection.
    const { promise: together, resolve } = Promise.withResolvers<void>();
    let holding = 0;
    await Promise.all(
      ['x', 'y'].map((lane) =>
        db.unitOfWork(lane, patient(), async ({ em }) => {
          await em.execute('select 1');
          if (++holding === 2) {
            resolve();
          }
          await together;
        }),
      ),
    );
    expect(holding).toBe(2);
  });

  it('23505: another writer took the key', async () => {
    await duplicate(db);
    expect(codesOf(retries)).toEqual([['conflict', '23505']]);
  });
});

describe('on SQLite', () => {
  let database: TestDatabase;
  let db: Database;
  let retries: Retry[];

  beforeEach(async () => {
    database = await sqlite.create();
    retries = [];
    db = await openDatabase({
      url: database.url,
      poolSize: 1,
      versionLock: 'advisory',
      migrate: 'off',
      onRetry: (retry) => {
        retries.push(retry);
        if (retries.length === 3) {
          void database.query('rollback');
        }
      },
    });
  });
  afterEach(async () => {
    await db.close();
    await database.drop();
  });

  it('SQLITE_BUSY: another process writes', async () => {
    await database.query('begin immediate');
    await db.unitOfWork('lane', patient(), async ({ em }) => em.create(Student, student('S-1')));
    expect(codesOf(retries)).toEqual([1, 2, 3].map(() => ['conflict', 'SQLITE_BUSY']));
    expect(await database.query('select student_number from students')).toEqual([{ student_number: 'S-1' }]);
  });

  it('SQLITE_CONSTRAINT_UNIQUE: another writer took the key', async () => {
    await duplicate(db);
    expect(codesOf(retries)).toEqual([['conflict', 'SQLITE_CONSTRAINT_UNIQUE']]);
  });
});

/** Inserts a number that is there, and on the next attempt another one. */
async function duplicate(db: Database): Promise<void> {
  await db.unitOfWork('lane', patient(), async ({ em }) => em.create(Student, student('S-1')));
  await db.unitOfWork('lane', patient(), async ({ em, attempt }) => em.create(Student, student(`S-${attempt}`)));
}
