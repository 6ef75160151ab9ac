/** What calls that share a unit of work must not notice of each other. */
import { randomUUID } from 'node:crypto';
import { Code, type ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RetryInfoSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { countWaits, occupy } from './support/occupy.ts';
import { createAtOnce, expectChain, infoOf, newStudent, YEAR } from './support/samples.ts';
import { failureOf, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

describeOnBoth('calls that share a unit of work', (backend) => {
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

  const create = (over: object = {}) =>
    service.client.createIep({ studentId, academicYear: YEAR, ...over }).then(({ iep }) => iep!);

  /** Makes the calls while another process holds the chain: the first waits for it, the others queue up behind. */
  async function together<T>(calls: (() => Promise<T>)[]): Promise<PromiseSettledResult<T>[]> {
    const release = await occupy(database, studentId);
    const first = create();
    await vi.waitUntil(waits, { timeout: 10_000 });
    const started = Promise.allSettled(calls.map((call) => call()));
    // Reads of the same connection are answered after the calls before them have arrived.
    await service.client.getStudent({ studentId });
    await release();
    await first;
    return started;
  }

  const waits = async () => (await countWaits(database, service.log)) > 0;

  function valuesOf<T>(outcomes: PromiseSettledResult<T>[]): T[] {
    return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }
  const reasonOf = (outcome: PromiseSettledResult<unknown>) =>
    outcome.status === 'rejected' ? infoOf(outcome.reason as ConnectError).reason : 'ok';

  it('are committed together, in order of arrival', async () => {
    const ieps = valuesOf(
      await together(Array.from({ length: 40 }, (_, place) => () => create({ content: { place } }))),
    );
    expect(ieps.map(({ version }) => version)).toEqual(Array.from({ length: 40 }, (_, place) => place + 2));
    const units = new Set(ieps.map(({ createTime }) => `${createTime?.seconds}.${createTime?.nanos}`));
    expect(units.size).toBeLessThan(10);
  });

  it('are refused one by one', async () => {
    const reused = randomUUID();
    await create({ requestId: reused, academicYear: '2030-2031' });
    const outcomes = await together<Iep>([
      () => create(),
      () => create({ expectedLatestVersion: 0 }),
      () => create({ requestId: reused }),
      () => create({ expectedLatestVersion: 2 }),
      () => create({ studentId: '01980000-0000-7000-8000-000000000000' }),
      () => create({ academicYear: '2031-2032', expectedLatestVersion: 0 }),
      () => create(),
    ]);
    expect(outcomes.map(reasonOf)).toEqual([
      'ok',
      'VERSION_MISMATCH',
      'REQUEST_ID_REUSED',
      'ok',
      'STUDENT_NOT_FOUND',
      'ok',
      'ok',
    ]);
    expect(valuesOf(outcomes).map(({ version }) => version)).toEqual([2, 3, 1, 4]);
  });

  it('are one version when they are copies of one request', async () => {
    const requestId = randomUUID();
    const outcomes = await together(Array.from({ length: 10 }, () => () => create({ requestId, content: { a: 1 } })));
    const ieps = valuesOf(outcomes);
    expect(ieps).toHaveLength(10);
    ieps.forEach((iep) => expect(iep).toEqual(ieps[0]));
    expect(await database.query('select id from ieps')).toHaveLength(2);
  });

  it('fail alone when they are poison', async () => {
    const poisoned = `new.created_by = 'poison'`;
    if (backend.name === 'SQLite') {
      await database.query(
        `create trigger poison before insert on ieps when ${poisoned} begin select raise(abort, 'poison'); end`,
      );
    } else {
      await database.query(`create function poison() returns trigger language plpgsql as
        $$ begin raise exception 'poison'; end $$`);
      await database.query(
        `create trigger poison before insert on ieps for each row when (${poisoned}) execute function poison()`,
      );
    }
    const outcomes = await together(
      Array.from(
        { length: 9 },
        (_, place) => () =>
          service.client.createIep(
            { studentId, academicYear: YEAR },
            { headers: { 'x-user-id': place % 4 === 2 ? 'poison' : 'teacher' } },
          ),
      ),
    );
    expect(outcomes.map(reasonOf)).toEqual(['ok', 'ok', 'INTERNAL', 'ok', 'ok', 'ok', 'INTERNAL', 'ok', 'ok']);
    expectChain((await service.client.listIeps({ studentId })).ieps);
  });

  it('spend no version when their deadline passes while they wait', async () => {
    const release = await occupy(database, studentId);
    const patient = create();
    await vi.waitUntil(waits, { timeout: 10_000 });
    const hasty = Array.from({ length: 10 }, () =>
      failureOf(service.client.createIep({ studentId, academicYear: YEAR }, { timeoutMs: 1000 })),
    );
    for (const failure of await Promise.all(hasty)) {
      expect([failure.code, infoOf(failure).reason]).toEqual([Code.DeadlineExceeded, 'NOT_EXECUTED']);
    }
    await release();
    expect(await patient).toMatchObject({ version: 1 });
    expect(await create()).toMatchObject({ version: 2 });
  });

  it('are turned away at once when too many wait', async () => {
    const release = await occupy(database, studentId);
    const calls = Array.from({ length: 2200 }, () => create());
    let refused = 0;
    calls.forEach((call) => void call.catch(() => refused++));
    // The first answers are refusals: nothing else can be answered before the chain is free.
    const failure = await failureOf(Promise.race(calls));
    expect(failure.code).toBe(Code.ResourceExhausted);
    expect(infoOf(failure)).toMatchObject({ reason: 'OVERLOADED', metadata: { cause: 'queue', committed: 'no' } });
    expect(failure.findDetails(RetryInfoSchema)).toHaveLength(1);
    // Beside the 2,048 that wait in the lane, its unit of work has 1 to 64.
    await vi.waitUntil(() => refused >= 2200 - 2048 - 64, { timeout: 10_000 });
    await release();
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter((outcome) => reasonOf(outcome) === 'OVERLOADED')).toHaveLength(refused);
    expect(refused).toBeLessThanOrEqual(2200 - 2049);
    expectChain(valuesOf(outcomes));
  });

  it('serve 1,000 callers at once without a retry', async () => {
    const ieps = await createAtOnce([service.client], 1000, studentId);
    expect(ieps).toHaveLength(1000);
    expectChain(ieps);
    expect(service.log.lines.filter(({ msg }) => msg === 'retry')).toEqual([]);
  });
});
