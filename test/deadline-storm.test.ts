/** Thousands of callers who do not wait, on chains that others hold: nothing may leak, and every answer is true. */
import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { describeOnBoth, expectInvariants, postgresql } from './support/databases.ts';
import { occupy } from './support/occupy.ts';
import { type Asked, expectTruth, tally } from './support/ledger.ts';
import { type Answer, openRawClient, type RawClient } from './support/raw-client.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { type RunningService, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

describeOnBoth('a storm of deadlines', (backend) => {
  // SQLite has one connection for writers, whatever the size of the pool.
  describe.each(backend.name === 'SQLite' ? ['10'] : ['10', '2'])('with POOL_SIZE=%s', (POOL_SIZE) => {
    let database: TestDatabase;
    let service: RunningService;
    let client: RawClient;
    let hot: string[];

    beforeEach(async () => {
      database = await backend.create();
      service = await startProcess(database.url, { POOL_SIZE });
      client = openRawClient(service.grpcUrl);
      hot = await Promise.all([newStudent(service.client), newStudent(service.client)]);
    });
    afterEach(async () => {
      client.close();
      await service.stop();
      await expectInvariants(database);
      await database.drop();
    });

    async function ask(studentId: string, academicYear: string): Promise<Asked> {
      const requestId = randomUUID();
      const request = { studentId, academicYear, requestId };
      if (randomInt(3) > 0) {
        return { requestId, answer: await client.createIep(request, { timeoutMs: randomInt(1, 301) }) };
      }
      const caller = new AbortController();
      setTimeout(() => caller.abort(), randomInt(0, 301));
      return { requestId, answer: await client.createIep(request, { signal: caller.signal }) };
    }

    /** Holds the hot chains, or the file, again and again. */
    async function meddle(until: Promise<unknown>): Promise<void> {
      const storm = { over: false };
      void until.then(() => (storm.over = true));
      while (!storm.over) {
        const release = await occupy(database, ...hot.slice(0, randomInt(1, 3)));
        await sleep(randomInt(1, 151));
        await release();
        await sleep(randomInt(1, 101));
      }
    }

    /** A call with all the time in the world is served as if nothing had been, on chains old and new. */
    async function expectRested(): Promise<void> {
      const chains = [...hot, await newStudent(service.client)].flatMap((studentId) =>
        Array.from({ length: 5 }, (_, year) => ({ studentId, academicYear: `${2060 + year}-${2061 + year}` })),
      );
      const answers = await Promise.all(
        [...chains, ...hot.map((studentId) => ({ studentId, academicYear: YEAR }))].map((chain) =>
          client.createIep(chain, { timeoutMs: 10_000 }),
        ),
      );
      expect(tally(answers)).toEqual({ 'OK/yes': chains.length + hot.length });
      expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(3000);
    }

    it('tells every caller the truth, and leaves nothing behind', async () => {
      const cold = await Promise.all(Array.from({ length: 50 }, () => newStudent(service.client)));
      const calls: Promise<Asked>[] = [];
      let inFlight = 0;
      const { promise: sent, resolve: end } = Promise.withResolvers<void>();
      const meddling = meddle(sent);
      while (calls.length < 2500) {
        for (let wave = randomInt(1, 20); wave > 0; wave--) {
          const year = 2000 + randomInt(50);
          const call =
            randomInt(2) === 0
              ? ask(hot[randomInt(2)]!, YEAR)
              : ask(cold[randomInt(cold.length)]!, `${year}-${year + 1}`);
          inFlight++;
          calls.push(call.finally(() => inFlight--));
        }
        await sleep(randomInt(5, 35));
        // On a slow machine, a storm as heavy as it can bear.
        await vi.waitUntil(() => inFlight < 100, { interval: 5, timeout: 10_000 });
      }
      const asked = await Promise.all(calls);
      end();
      await meddling;
      await expectRested();

      const counts = tally(asked.map(({ answer }) => answer));
      console.log(`${backend.name}, POOL_SIZE=${POOL_SIZE}:`, counts);
      // A storm in which everybody gets the same answer proves nothing.
      expect(counts['OK/yes']).toBeGreaterThan(50);
      expect(counts['DEADLINE_EXCEEDED/NOT_EXECUTED/no']).toBeGreaterThan(50);
      expect(counts['CANCELLED']).toBeGreaterThan(50);

      await expectTruth(database, asked);
    });
  });
});

describe('a storm of deadlines on chains of their own', () => {
  it('leaves a service that serves the next call at once', async () => {
    const database = await postgresql.create();
    const service = await startProcess(database.url, { POOL_SIZE: '1' });
    const client = openRawClient(service.grpcUrl);
    const students = await Promise.all(Array.from({ length: 11 }, () => newStudent(service.client)));
    const [held, waiting, next] = [students[0]!, students[1]!, students.slice(2)];
    const release = await occupy(database, held);
    // It takes the connection, so that nobody else's turn comes.
    const patient = [client.createIep({ studentId: held, academicYear: YEAR })];
    await vi.waitUntil(async () => (await database.query('select 1 from pg_locks where not granted')).length === 1);
    const gone: Answer[] = [];
    while (gone.length < 10_000) {
      const calls = Array.from({ length: 1000 }, () =>
        client.createIep({ studentId: randomUUID(), academicYear: YEAR }, { timeoutMs: 800 }),
      );
      gone.push(...(await Promise.all(calls)));
    }
    patient.push(client.createIep({ studentId: waiting, academicYear: YEAR }, { timeoutMs: 20_000 }));
    await release();
    console.log('chains of their own:', tally(gone));
    expect([...new Set(gone.map(({ code }) => code))]).toEqual(['DEADLINE_EXCEEDED']);
    expect(tally(await Promise.all(patient))).toEqual({ 'OK/yes': 2 });
    const answers = await Promise.all(
      next.map((studentId) => client.createIep({ studentId, academicYear: YEAR }, { timeoutMs: 10_000 })),
    );
    expect(tally(answers)).toEqual({ 'OK/yes': next.length });
    expect(Math.max(...answers.map(({ ms }) => ms))).toBeLessThan(1000);
    client.close();
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });
});

describeOnBoth('a client that gives up three thousand calls at once', (backend) => {
  it('keeps its connection, and the calls on it', async () => {
    const database = await backend.create();
    const service = await startProcess(database.url);
    const client = openRawClient(service.grpcUrl);
    const studentId = await newStudent(service.client);
    const release = await occupy(database, studentId);
    const patient = client.createIep({ studentId, academicYear: YEAR });
    const caller = new AbortController();
    const calls = Array.from({ length: 3000 }, () =>
      client.createIep({ studentId, academicYear: YEAR }, { signal: caller.signal }),
    );
    // Answered after the calls before it have arrived.
    await client.createIep({ studentId, academicYear: YEAR, validateOnly: true });
    caller.abort();
    // For the others the lane had no room.
    expect(tally(await Promise.all(calls))['CANCELLED']).toBeGreaterThan(1500);
    await release();
    expect(tally([await patient])).toEqual({ 'OK/yes': 1 });
    client.close();
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });
});
