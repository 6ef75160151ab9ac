/** Deadlines and cancelled calls, over every protocol. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { countRows, refusalOf } from './support/refusal.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { countWaits, occupy } from './support/occupy.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { clientsOf, failureOf, type LogLines, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

const notExecuted = { code: 'DeadlineExceeded', reason: 'NOT_EXECUTED', committed: 'no' };

/** Headers start no timer in the client, which could end the call before the service's answer is there. */
function deadline(seconds: number) {
  const ms = Math.round(seconds * 1000);
  const grpc = ms < 1e8 ? `${ms}m` : `${Math.round(seconds)}S`;
  return { headers: { 'connect-timeout-ms': `${ms}`, 'grpc-timeout': grpc } };
}

const DAYS_30 = 30 * 24 * 60 * 60;

describeOnBoth('deadlines', (backend) => {
  let database: TestDatabase;
  let service: RunningService & { log: LogLines };
  let hasty: RunningService;

  beforeAll(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'info' });
    hasty = await startInProcess(database.url, { DEADLINE_DEFAULT_MS: '300', DEADLINE_MAX_MS: '300' });
  });
  afterAll(async () => {
    await Promise.all([service.stop(), hasty.stop()]);
    await expectInvariants(database);
    await database.drop();
  });

  /** Keeps everybody from writing documents of these students until `work` is done. */
  async function whileLocked<T>(students: string[], work: () => Promise<T>): Promise<T> {
    const release = await occupy(database, ...students);
    try {
      return await work();
    } finally {
      await release();
    }
  }

  const callers = (of: RunningService = service) => Object.values(clientsOf(of));

  it('are kept, with details, and nothing is written afterwards', async () => {
    const request = { studentId: await newStudent(service.client), academicYear: YEAR };
    const rows = await countRows(database);
    await whileLocked([request.studentId], async () => {
      const calls = callers().map((client) => refusalOf(client.createIep(request, deadline(0.5))));
      expect(await Promise.all(calls)).toEqual(calls.map(() => notExecuted));
    });
    const { iep } = await service.client.createIep(request);
    expect(iep?.version).toBe(1);
    expect(await countRows(database)).not.toEqual(rows);
    expect((await service.client.listIeps(request)).ieps).toHaveLength(1);
  });

  it('are those of the configuration where a call brings none, or one that is too long', async () => {
    const request = { studentId: await newStudent(service.client), academicYear: YEAR };
    await whileLocked([request.studentId], async () => {
      const calls = callers(hasty).flatMap((client) => [
        refusalOf(client.createIep(request)),
        refusalOf(client.createIep(request, deadline(DAYS_30))),
      ]);
      expect(await Promise.all(calls)).toEqual(calls.map(() => notExecuted));
    });
  });

  it.each([0.001, 0])('of %f seconds are over at once', async (seconds) => {
    const request = { studentId: await newStudent(service.client), academicYear: YEAR };
    for (const client of callers()) {
      const { code } = await failureOf(client.createIep(request, deadline(seconds)));
      expect(Code[code]).toBe('DeadlineExceeded');
    }
    expect((await service.client.listIeps(request)).ieps).toEqual([]);
  });

  it('of 30 days are not over at once', async () => {
    const request = { studentId: await newStudent(service.client), academicYear: YEAR };
    const calls = await whileLocked([request.studentId], async () => {
      const waiting = callers().map((client) => client.createIep(request, deadline(DAYS_30)));
      expect(await Promise.race([...waiting, sleep(300, 'still waiting')])).toBe('still waiting');
      return waiting;
    });
    const versions = (await Promise.all(calls)).map(({ iep }) => iep?.version);
    expect(new Set(versions)).toEqual(new Set([1, 2, 3, 4]));
  });

  it('a cancelled call writes nothing', async () => {
    const cancelled = await Promise.all(
      callers().map(async (client) => ({
        client,
        request: { studentId: await newStudent(client), academicYear: YEAR },
      })),
    );
    const students = cancelled.map(({ request }) => request.studentId);
    await whileLocked(students, async () => {
      for (const { client, request } of cancelled) {
        const waits = await countWaits(database, service.log);
        const requestId = randomUUID();
        const canceller = new AbortController();
        const options = { headers: { 'x-request-id': requestId }, signal: canceller.signal };
        const call = failureOf(client.createIep(request, options));
        await vi.waitFor(async () => expect(await countWaits(database, service.log)).toBeGreaterThan(waits));
        canceller.abort();
        expect(Code[(await call).code]).toBe('Canceled');
        await vi.waitFor(() => {
          const line = service.log.lines.find((entry) => entry['requestId'] === requestId);
          expect(line).toMatchObject({ rpc: 'CreateIep', reason: 'NOT_EXECUTED' });
        });
      }
    });
    for (const { client, request } of cancelled) {
      expect((await client.createIep(request)).iep?.version).toBe(1);
      expect((await client.listIeps(request)).ieps).toHaveLength(1);
    }
  });
});
