import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RetryInfoSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import {
  createRetryBudget,
  type Failure,
  RetriesExhausted,
  RETRY_POLICIES,
  type Retry,
  type RetryOptions,
  withRetries,
} from '../src/persistence/retry.ts';
import { describeOnBoth, expectInvariants, postgresql } from './support/databases.ts';
import { countWaits, occupy } from './support/occupy.ts';
import { infoOf, newIep, newStudent, YEAR } from './support/samples.ts';
import { failureOf, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

/** A clock that only moves when somebody sleeps. */
function stoppedClock() {
  let time = 0;
  const slept: number[] = [];
  return {
    slept,
    now: () => time,
    async sleep(ms: number) {
      slept.push(ms);
      time += ms;
    },
  };
}

class Failed extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure);
    this.failure = failure;
  }
}

function setUp(over: Partial<RetryOptions> = {}) {
  const clock = stoppedClock();
  const retries: Retry[] = [];
  const options: RetryOptions = {
    call: { deadline: Infinity, signal: new AbortController().signal },
    classify: (error) => (error as Failed).failure,
    onRetry: (retry) => retries.push(retry),
    clock,
    ...over,
  };
  return { clock, retries, options };
}

describe('withRetries', () => {
  it('succeeds at once', async () => {
    const { clock, retries, options } = setUp();
    expect(await withRetries(async (number) => `attempt ${number}`, options)).toBe('attempt 1');
    expect(clock.slept).toEqual([]);
    expect(retries).toEqual([]);
  });

  it('fails twice, then succeeds', async () => {
    const { retries, options } = setUp();
    const result = await withRetries(async (number) => {
      if (number < 3) {
        throw new Failed('conflict');
      }
      return number;
    }, options);
    expect(result).toBe(3);
    expect(retries.map(({ attempt, failure }) => [attempt, failure])).toEqual([
      [1, 'conflict'],
      [2, 'conflict'],
    ]);
  });

  it.each([
    ['conflict', 30],
    ['unreachable', 4],
    ['ambiguous', 4],
  ] as const)('gives up on %s after %i attempts with the last error', async (failure, attempts) => {
    const { options } = setUp();
    const errors: Failed[] = [];
    const gaveUp = withRetries(async () => {
      errors.push(new Failed(failure));
      throw errors.at(-1)!;
    }, options);
    await expect(gaveUp).rejects.toBeInstanceOf(RetriesExhausted);
    await expect(gaveUp).rejects.toMatchObject({ attempts, failure, stoppedBy: 'attempts', cause: errors.at(-1) });
    expect(errors).toHaveLength(attempts);
  });

  it.each(['permanent', 'capacity', 'busy'] as const)('does not retry %s', async (failure) => {
    const { clock, options } = setUp();
    const error = new Failed(failure);
    await expect(withRetries(() => Promise.reject(error), options)).rejects.toBe(error);
    expect(clock.slept).toEqual([]);
  });

  it('doubles the delays up to the cap', async () => {
    const { clock, options } = setUp({ random: () => 1 });
    await expect(withRetries(() => Promise.reject(new Failed('conflict')), options)).rejects.toThrow('30 attempts');
    expect(clock.slept.slice(0, 8)).toEqual([5, 10, 20, 40, 80, 160, 250, 250]);
    expect(clock.slept).toHaveLength(29);
    expect(Math.max(...clock.slept)).toBe(RETRY_POLICIES.conflict?.capMs);
  });

  it('jitters the delays over the whole range', async () => {
    const { clock, options } = setUp();
    for (let round = 0; round < 20; round++) {
      await withRetries(() => Promise.reject(new Failed('conflict')), options).catch(() => undefined);
    }
    const capped = clock.slept.filter((_, index) => index % 29 >= 6);
    expect(new Set(capped).size).toBeGreaterThan(capped.length / 2);
    expect(Math.min(...capped)).toBeLessThan(50);
    expect(Math.max(...capped)).toBeGreaterThan(200);
    expect(Math.max(...capped)).toBeLessThanOrEqual(250);
  });

  it('stops when the next delay would pass the deadline', async () => {
    const { clock, options } = setUp({ random: () => 1, call: { deadline: 36, signal: new AbortController().signal } });
    await expect(withRetries(() => Promise.reject(new Failed('conflict')), options)).rejects.toMatchObject({
      attempts: 4,
      stoppedBy: 'deadline',
    });
    expect(clock.slept).toEqual([5, 10, 20]);
  });

  it('stops when the budget is spent, and goes on when successes have earned some', async () => {
    const budget = createRetryBudget();
    const { clock, options } = setUp({ budget });
    const outage = () => withRetries(() => Promise.reject(new Failed('unreachable')), options);
    for (let call = 0; call < 40; call++) {
      await expect(outage()).rejects.toBeInstanceOf(RetriesExhausted);
    }
    expect(clock.slept).toHaveLength(100);
    await expect(outage()).rejects.toMatchObject({ attempts: 1, stoppedBy: 'budget' });
    for (let call = 0; call < 21; call++) {
      await withRetries(async () => call, options);
    }
    await expect(outage()).rejects.toMatchObject({ attempts: 3, stoppedBy: 'budget' });
  });

  it('spends no budget on conflicts', async () => {
    const { clock, options } = setUp({ budget: createRetryBudget() });
    for (let call = 0; call < 10; call++) {
      await expect(withRetries(() => Promise.reject(new Failed('conflict')), options)).rejects.toThrow('30 attempts');
    }
    expect(clock.slept).toHaveLength(290);
  });

  it('stops when the caller goes away', async () => {
    const caller = new AbortController();
    const { options } = setUp({ call: { deadline: Infinity, signal: caller.signal } });
    const gaveUp = withRetries(async () => {
      caller.abort();
      throw new Failed('conflict');
    }, options);
    await expect(gaveUp).rejects.toMatchObject({ attempts: 1, stoppedBy: 'deadline' });
  });
});

/** Makes every insert of a version fail as if another writer had got in between. */
async function alwaysConflict(database: TestDatabase): Promise<() => Promise<unknown>> {
  if (database.url.startsWith('sqlite:')) {
    await database.query('begin immediate');
    return () => database.query('rollback');
  }
  await database.query(`create function conflict() returns trigger language plpgsql as
    $$ begin raise exception 'conflict' using errcode = '40001'; end $$`);
  await database.query('create trigger conflict before insert on ieps for each row execute function conflict()');
  return () => database.query('drop trigger conflict on ieps');
}

describeOnBoth('a chain that another process holds', (backend) => {
  let database: TestDatabase;
  let service: Awaited<ReturnType<typeof startInProcess>>;
  let studentId: string;

  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'info' });
    studentId = await newStudent(service.client);
  });
  afterEach(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const create = (timeoutMs: number) =>
    service.client.createIep({ studentId, academicYear: YEAR }, { timeoutMs }).then(({ iep }) => iep!);

  const waits = async () => (await countWaits(database, service.log)) > 0;

  it('is waited for', async () => {
    const release = await occupy(database, studentId);
    const waiting = [create(20_000), create(20_000)];
    await vi.waitUntil(waits, { timeout: 10_000 });
    await release();
    const ieps = await Promise.all(waiting);
    expect(ieps.map(({ version }) => version).toSorted((a, b) => a - b)).toEqual([1, 2]);
  });

  it('is waited for until the deadline, and then nothing is written', async () => {
    const release = await occupy(database, studentId);
    const failures = await Promise.all([failureOf(create(400)), failureOf(create(400))]);
    await release();
    for (const failure of failures) {
      expect(failure.code).toBe(Code.DeadlineExceeded);
      expect(infoOf(failure)).toMatchObject({ reason: 'NOT_EXECUTED', metadata: { committed: 'no' } });
    }
    expect(await database.query('select id from ieps')).toEqual([]);
    expect(await create(20_000)).toMatchObject({ version: 1 });
  });

  it('is given up after 30 conflicts', async () => {
    const end = await alwaysConflict(database);
    const failure = await failureOf(create(50_000));
    await end();
    expect(failure.code).toBe(Code.Aborted);
    expect(infoOf(failure)).toMatchObject({
      reason: 'VERSION_CONTENTION',
      metadata: { attempts: '30', committed: 'no' },
    });
    expect(failure.findDetails(RetryInfoSchema)[0]?.retryDelay?.nanos).toBeGreaterThan(0);
    expect(await database.query('select id from ieps')).toEqual([]);
    expect(await create(20_000)).toMatchObject({ version: 1 });
  });
});

describe('a version that is taken without the lock', () => {
  it('is an alarm, and the call gets the next one', async () => {
    const database = await postgresql.create();
    const service = await startInProcess(database.url, { LOG_LEVEL: 'info' });
    const studentId = await newStudent(service.client);
    await newIep(service.client, studentId);
    await database.query('begin');
    await database.query(`insert into ieps (district_id, id, student_id, academic_year, version, parent_version_id, kind,
        status, content, created_by, create_time, update_time, revision, row_version)
      select district_id, gen_random_uuid(), student_id, academic_year, 2, id, kind, status, content, created_by,
        create_time, update_time, revision, row_version from ieps`);
    const call = newIep(service.client, studentId);
    await vi.waitUntil(async () => (await database.query('select 1 from pg_locks where not granted')).length > 0);
    await database.query('commit');
    expect(await call).toMatchObject({ version: 3 });
    expect(service.log.lines.filter(({ level }) => level === 50)).toMatchObject([
      { msg: 'a version was taken while its chain was locked: VERSION_LOCK does not work here', failure: 'conflict' },
    ]);
    await service.stop();
    await database.drop();
  });
});
