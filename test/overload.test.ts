/** More than the service can take is refused at once, and what it can do it goes on doing. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LANE_LIMITS } from '../src/persistence/write-lanes.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { tally } from './support/ledger.ts';
import { countWaits, occupy } from './support/occupy.ts';
import { type Answer, openRawClient, type RawClient } from './support/raw-client.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

const medianOf = (times: readonly number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];

describeOnBoth('a service whose writers are all held', (backend) => {
  let database: TestDatabase;
  let service: Awaited<ReturnType<typeof startInProcess>>;
  let client: RawClient;
  let held: string[];
  let release: () => Promise<unknown>;

  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'info', POOL_SIZE: '7' });
    client = openRawClient(service.grpcUrl);
    // As many as may wait for another process at once on a pool of 7.
    held = await Promise.all(Array.from({ length: 4 }, () => newStudent(service.client)));
    release = await occupy(database, ...held);
  });
  afterEach(async () => {
    client.close();
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const chainOf = (studentId: string) => ({ studentId, academicYear: YEAR });
  const create = (studentId: string) => client.createIep(chainOf(studentId));
  const writers = backend.name === 'SQLite' ? 1 : 4;

  /** Takes every connection that may wait. */
  async function holdAll() {
    const calls = held.map(create);
    await vi.waitUntil(async () => (await countWaits(database, service.log)) >= writers, { timeout: 10_000 });
    return calls;
  }

  it('answers reads as if nothing were', async () => {
    const calls = await holdAll();
    const times: number[] = [];
    for (let read = 0; read < 50; read++) {
      const start = performance.now();
      await service.client.getStudent({ studentId: held[read % held.length]! });
      times.push(performance.now() - start);
    }
    await release();
    expect(tally(await Promise.all(calls))).toEqual({ 'OK/yes': held.length });
    expect(medianOf(times)).toBeLessThan(50);
  });

  // On SQLite all share the file's lane, and three of the callers wait in it already.
  const limits =
    backend.name === 'SQLite'
      ? [['a full lane', LANE_LIMITS.laneJobs - 3, 1] as const]
      : [['a full lane', LANE_LIMITS.laneJobs, 1] as const, ['all lanes together', LANE_LIMITS.totalJobs, 4] as const];

  it.each(limits)('refuses at once what goes beyond %s', async (_what, room, chains) => {
    const calls = await holdAll();
    const waiting = Array.from({ length: room }, (_, call) => create(held[call % chains]!));
    // Answered after the calls before it have arrived.
    await client.createIep({ ...chainOf(held[0]!), validateOnly: true });
    const refused: Answer[] = [];
    for (let call = 0; call < 20; call++) {
      // Where all lanes are full, a chain of its own finds no room either.
      refused.push(await create(chains === 1 ? held[0]! : randomUUID()));
    }
    expect(tally(refused)).toEqual({ 'RESOURCE_EXHAUSTED/OVERLOADED/no': 20 });
    expect(refused.filter(({ tellsWhenToRetry }) => !tellsWhenToRetry)).toEqual([]);
    expect(medianOf(refused.map(({ ms }) => ms))).toBeLessThan(50);
    await release();
    expect(tally(await Promise.all([...calls, ...waiting]))).toEqual({ 'OK/yes': held.length + room });
    expect(tally([await create(held[0]!)])).toEqual({ 'OK/yes': 1 });
  });
});

describeOnBoth('a client that sends a thousand calls at once', (backend) => {
  it('holds up nobody but itself', async () => {
    const database = await backend.create();
    const service = await startProcess(database.url);
    const client = openRawClient(service.grpcUrl);
    const studentId = await newStudent(service.client);
    let answered = 0;
    const flood = Array.from({ length: 1000 }, async () => {
      const answer = await client.createIep({ studentId, academicYear: YEAR });
      answered++;
      return answer;
    });
    await vi.waitUntil(() => answered > 0, { interval: 1 });
    await service.client.getStudent({ studentId });
    const before = answered;
    expect(tally(await Promise.all(flood))).toEqual({ 'OK/yes': 1000 });
    expect(before).toBeLessThan(500);
    client.close();
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });
});

describeOnBoth('a flood of calls that are due soon', (backend) => {
  let database: TestDatabase;
  let service: Awaited<ReturnType<typeof startInProcess>>;

  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'info', DEADLINE_DEFAULT_MS: '100' });
  });
  afterEach(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const toldOneByOne = () =>
    service.log.lines.filter(({ msg, reason }) => msg === 'failed' && reason === 'OVERLOADED').length;
  const toldTogether = () =>
    service.log.lines.filter(({ msg }) => msg === 'refused').reduce((sum, { calls }) => sum + Number(calls), 0);

  it('is answered whole, and told of in the log', async () => {
    const client = openRawClient(service.grpcUrl);
    const chain = { studentId: randomUUID(), academicYear: YEAR };
    const answers: Answer[] = [];
    const refused = () => answers.filter(({ reason }) => reason === 'OVERLOADED');
    // Those that were let in first have a line each.
    const others = () => refused().length - toldOneByOne();
    // A client that got little of the processor may have sent them no faster than they were done.
    await vi.waitUntil(
      async () => {
        answers.push(...(await Promise.all(Array.from({ length: 1000 }, () => client.createIep(chain)))));
        return others() > 0;
      },
      { timeout: 20_000 },
    );
    client.close();

    expect(answers.filter(({ committed }) => committed === undefined)).toEqual([]);
    expect(refused().filter(({ tellsWhenToRetry }) => !tellsWhenToRetry)).toEqual([]);
    await vi.waitUntil(() => toldTogether() >= others(), { timeout: 5000 });
    expect(toldTogether()).toBe(others());
  });
});
