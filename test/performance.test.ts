/** Load tests through real clients. They print what they measured and assert the bounds that a district may rely on. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { expectTruth, tally } from './support/ledger.ts';
import { closedLoop, openLoop, servedPerSecond } from './support/open-loop.ts';
import { openRawClient } from './support/raw-client.ts';
import { createAtOnce, expectChain, newIep, newStudent, sampleStudent, YEAR } from './support/samples.ts';
import { type RunningService, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

interface Measured {
  readonly succeeded: number;
  readonly failed: number;
  readonly averageMs: number;
}

/** Makes `count` calls, `concurrency` at a time, and prints how long they took. */
async function measure(
  label: string,
  count: number,
  concurrency: number,
  call: (index: number) => Promise<unknown>,
): Promise<Measured> {
  const times: number[] = [];
  let failed = 0;
  let next = 0;
  async function worker(): Promise<void> {
    while (next < count) {
      const started = performance.now();
      await call(next++).catch(() => failed++);
      times.push(performance.now() - started);
    }
  }
  const started = performance.now();
  await Promise.all(Array.from({ length: concurrency }, worker));
  const seconds = (performance.now() - started) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => `${Math.round(times[Math.ceil(times.length * share) - 1]!)} ms`;
  const averageMs = times.reduce((sum, time) => sum + time, 0) / times.length;
  console.log(
    `${label}: ${count} calls, ${concurrency} at a time, ${Math.round(count / seconds)}/s,`,
    `average ${Math.round(averageMs)} ms, p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, ${failed} failed`,
  );
  return { succeeded: count - failed, failed, averageMs };
}

describeOnBoth('load', (backend) => {
  let database: TestDatabase;
  const services: RunningService[] = [];

  beforeEach(async () => {
    database = await backend.create();
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await expectInvariants(database);
    await database.drop();
  });

  const label = (what: string) => `${backend.name}, ${what}`;

  async function start(env: Record<string, string> = {}) {
    const service = await startInProcess(database.url, { LOG_LEVEL: 'info', ...env });
    services.push(service);
    return service;
  }

  it('creates students in bulk', async () => {
    const { client } = await start();
    const single = await measure(label('students one by one'), 500, 20, () =>
      client.createStudent({ student: sampleStudent() }),
    );
    const batches = await measure(label('students in batches of 500'), 4, 2, () =>
      client.batchCreateStudents({ students: Array.from({ length: 500 }, () => sampleStudent()) }),
    );
    expect(single.averageMs).toBeLessThan(500);
    expect(single.failed + batches.failed).toBe(0);
    expect(await database.query('select count(*) as n from students')).toEqual([
      { n: backend.name === 'SQLite' ? 2500 : '2500' },
    ]);
  });

  it('serves a mixture of writes and reads', async () => {
    const { client } = await start();
    const students = await Promise.all(Array.from({ length: 20 }, () => newStudent(client)));
    await Promise.all(students.map((studentId) => newIep(client, studentId)));
    const operations = [
      () => client.createStudent({ student: sampleStudent() }),
      (studentId: string) => newIep(client, studentId),
      (studentId: string) => client.getLatestIep({ studentId, academicYear: YEAR }),
      (studentId: string) => client.listIeps({ studentId, pageSize: 10 }),
      () => client.listStudents({ pageSize: 10 }),
    ];
    const { failed } = await measure(label('mixture'), 1000, 30, (index) =>
      operations[index % operations.length]!(students[index % students.length]!),
    );
    expect(failed).toBe(0);
  });

  it.each(['advisory', 'none'])('creates versions under contention with VERSION_LOCK=%s', async (lock) => {
    const env = { VERSION_LOCK: lock, LOG_LEVEL: 'info' };
    const one = await start(env);
    const other = await startProcess(database.url, env);
    services.push(other);
    const clients = [one.client, other.client];
    const studentId = await newStudent(one.client);
    const { failed, averageMs } = await measure(label(`one chain, two services, ${lock}`), 300, 30, (index) =>
      newIep(clients[index % 2]!, studentId),
    );
    const retries = one.log.lines.filter(({ msg }) => msg === 'retry').length;
    console.log(`${label(`one chain, two services, ${lock}`)}: ${retries} retries in one of them`);
    expect(failed).toBe(0);
    expect(averageMs).toBeLessThan(2000);
  });

  it('serves 100 callers on a pool of two connections', async () => {
    const { client } = await start({ POOL_SIZE: '2' });
    const students = await Promise.all(Array.from({ length: 50 }, () => newStudent(client)));
    const { failed } = await measure(label('100 callers, 50 chains, 2 connections'), 500, 100, (index) =>
      index % 2 === 0
        ? newIep(client, students[index % students.length]!)
        : client.getStudent({ studentId: students[index % students.length]! }),
    );
    expect(failed).toBe(0);
    expectChain(await createAtOnce([client], 20, await newStudent(client)));
  });
});

/** Of the calls that overload the service. */
const TIMEOUT_MS = 2000;

/**
 * How much is still done is for the benchmark's probe `overload` to tell, with a generator that keeps the pace: this client
 * shares the cores with the service, and at twice the peak it needs more than one of them to itself.
 */
describeOnBoth('an overload', (backend) => {
  it.each([
    ['one chain', 1],
    ['many chains', 300],
  ])('of twice the peak is answered truly on %s', async (chains, count) => {
    const database = await backend.create();
    const service = await startProcess(database.url);
    const client = openRawClient(service.grpcUrl);
    const students = await Promise.all(Array.from({ length: count }, () => newStudent(service.client)));
    const target = { client, students, timeoutMs: TIMEOUT_MS };

    await closedLoop(target, 128, 2);
    const peakStart = performance.now();
    const unhurried = await closedLoop(target, 128, 4);
    const peak = servedPerSecond(target, unhurried, peakStart, [0, 4]);
    // Otherwise what was measured is no peak, and the run is void.
    expect(Object.keys(tally(unhurried.map(({ answer }) => answer)))).toEqual(['OK/yes']);
    const pressed = await openLoop(target, 2 * peak, 7);
    console.log(
      `${backend.name}, ${chains}: peak ${peak}/s; ${pressed.length} calls in 7 s,`,
      tally(pressed.map(({ answer }) => answer)),
    );
    client.close();
    await service.stop();
    try {
      await expectTruth(database, [...unhurried, ...pressed]);
      await expectInvariants(database);
      const refusals = pressed.filter(({ answer: { reason } }) => reason === 'OVERLOADED');
      expect(refusals.filter(({ answer }) => !answer.tellsWhenToRetry)).toEqual([]);
      expect(refusals.length).toBeGreaterThan(0);
    } finally {
      await database.drop();
    }
  });
});
