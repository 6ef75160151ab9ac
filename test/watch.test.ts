/** WatchIeps: what a watcher is told, over every protocol. */
import { randomUUID } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { beforeAll, expect, it, vi } from 'vitest';
import { IepStatus } from '../src/gen/iep/v1/iep_pb.ts';
import { IepChangeType } from '../src/gen/iep/v1/watch_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { createAtOnce, newIep, newStudent } from './support/samples.ts';
import { clientsOf, type LogLines, type RunningService } from './support/service.ts';
import { as, COMPLETE, iepIn, move } from './support/lifecycle.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';
import { expectLedger, toldOf, versionsOf, watch, watchFromNow } from './support/watching.ts';

const SHORT = { seconds: 0n, nanos: 100_000_000 };

describeOnBoth('WatchIeps', (backend) => {
  let database: TestDatabase;
  let service: RunningService & { log: LogLines };
  /** The token of a watch that began when nothing was there. */
  let atFirst: string;

  startForSuite(backend, (started) => ({ database, service } = started), { LOG_LEVEL: 'debug' });
  beforeAll(async () => {
    const watching = await watchFromNow(service.client);
    atFirst = watching.token;
    await watching.cancel();
  });

  const nameOf = (names: Record<string, number>, number: number) =>
    Object.keys(names).find((name) => names[name] === number);

  const clients = () => Object.entries(clientsOf(service));

  it('tells of a creation, over every protocol', async () => {
    const studentId = await newStudent(service.client);
    const watchers = await Promise.all(clients().map(([, client]) => watchFromNow(client, { studentId })));
    const before = Date.now();
    const { iep } = await service.client.createIep(
      { studentId, academicYear: '2025-2026', content: { a: 'é' }, goals: [{ goalKey: 'a', goalText: 'reads' }] },
      { headers: { 'x-user-id': 'Ms. Ng' } },
    );
    for (const watching of watchers) {
      await toldOf(watching, 1);
      const [change] = watching.changes;
      expect(change).toMatchObject({
        type: IepChangeType.CREATED,
        fromStatus: IepStatus.UNSPECIFIED,
        toStatus: IepStatus.DRAFT,
        actor: 'Ms. Ng',
        iep,
      });
      expect(timestampDate(change!.changeTime!).getTime()).toBeGreaterThan(before - 1000);
      const [event] = await database.query('select id from events where iep_id = ?', iep!.id);
      expect(change?.eventId).toBe(event?.['id']);
      await watching.cancel();
    }
    const [first, ...others] = watchers.map(({ changes }) => changes);
    others.forEach((changes) => expect(changes).toEqual(first));
  });

  it('begins with a heartbeat and misses nothing from then on', async () => {
    for (const [, client] of clients()) {
      const studentId = await newStudent(service.client);
      await newIep(service.client, studentId);
      const watching = await watchFromNow(client);
      const { id } = await newIep(service.client, studentId);
      await vi.waitFor(() => expect(watching.changes.map(({ iep }) => iep?.id)).toContain(id));
      await watching.cancel();
    }
  });

  it('tells each watcher of what it watches', async () => {
    const students = await Promise.all([newStudent(service.client), newStudent(service.client)]);
    const own = await Promise.all(students.map((studentId) => watchFromNow(service.client, { studentId })));
    const all = await watchFromNow(service.client);
    for (const studentId of [...students, ...students]) {
      await newIep(service.client, studentId);
      await newStudent(service.client);
    }
    await toldOf(all, 4);
    for (const [index, watching] of own.entries()) {
      await toldOf(watching, 2);
      expect(new Set(watching.changes.map(({ iep }) => iep?.studentId))).toEqual(new Set([students[index]]));
      expect(versionsOf(watching.changes)).toEqual([1, 2]);
    }
    expect(all.changes.map(({ iep }) => iep?.studentId)).toEqual([...students, ...students]);
    await Promise.all([...own, all].map((watching) => watching.cancel()));
  });

  it('tells of every step of a life, and who made it', async () => {
    const { client } = service;
    const studentId = await newStudent(client);
    const watching = await watchFromNow(client, { studentId });
    const old = await iepIn(client, 'ACTIVE', { studentId });
    const { id } = await newIep(client, studentId);
    await client.updateIep({ iep: { id, etag: '*', ...COMPLETE } }, as('teacher'));
    await move(client, id, 'submitIep');
    await move(client, id, 'returnIep', { comment: 'the baseline is last year\u2019s' });
    await move(client, id, 'submitIep');
    await move(client, id, 'approveIep');
    await move(client, id, 'activateIep');
    await client.recordGoalProgress(
      { iepId: id, goalKey: COMPLETE.goals[0]!.goalKey, note: 'Reads more.' },
      as('aide'),
    );
    await move(client, id, 'endIep', { comment: 'moved away' });
    const { id: other } = await newIep(client, studentId);
    await move(client, other, 'discardIep', { comment: 'by mistake' });
    await toldOf(watching, 16);
    const steps = watching.changes.map(({ type, iep, fromStatus, toStatus }) =>
      [iep!.version, nameOf(IepChangeType, type), nameOf(IepStatus, fromStatus), nameOf(IepStatus, toStatus)].join(' '),
    );
    const moved = (version: number, from: string, to: string) => `${version} STATUS_CHANGED ${from} ${to}`;
    expect(steps).toEqual([
      '1 CREATED UNSPECIFIED DRAFT',
      moved(1, 'DRAFT', 'UNDER_REVIEW'),
      moved(1, 'UNDER_REVIEW', 'APPROVED'),
      moved(1, 'APPROVED', 'ACTIVE'),
      '2 CREATED UNSPECIFIED DRAFT',
      '2 UPDATED UNSPECIFIED UNSPECIFIED',
      moved(2, 'DRAFT', 'UNDER_REVIEW'),
      moved(2, 'UNDER_REVIEW', 'RETURNED'),
      moved(2, 'RETURNED', 'UNDER_REVIEW'),
      moved(2, 'UNDER_REVIEW', 'APPROVED'),
      moved(1, 'ACTIVE', 'SUPERSEDED'),
      moved(2, 'APPROVED', 'ACTIVE'),
      '2 PROGRESS_RECORDED UNSPECIFIED UNSPECIFIED',
      moved(2, 'ACTIVE', 'ENDED'),
      '3 CREATED UNSPECIFIED DRAFT',
      moved(3, 'DRAFT', 'DISCARDED'),
    ]);
    expect(watching.changes.find(({ type }) => type === IepChangeType.UPDATED)).toMatchObject({ actor: 'teacher' });
    expect(watching.changes.find(({ type }) => type === IepChangeType.PROGRESS_RECORDED)).toMatchObject({
      actor: 'aide',
    });
    expect(watching.changes.at(-1)?.iep).toMatchObject({ id: other });
    expect(old.studentId).toBe(studentId);
    await watching.cancel();
  });

  it('goes on after any of its messages', async () => {
    const studentId = await newStudent(service.client);
    for (const request of [{ studentId }, {}]) {
      const watching = await watchFromNow(service.client, { ...request, heartbeatInterval: SHORT });
      await createAtOnce([service.client], 5, studentId);
      await toldOf(watching, 5);
      const told = watching.changes.map(({ eventId }) => eventId);
      await vi.waitFor(() => expect(watching.messages.at(-1)?.payload.case).toBe('heartbeat'));
      await watching.cancel();
      let after = 0;
      for (const { resumeToken, payload } of watching.messages) {
        expect(resumeToken).toMatch(/^[\w-]+$/);
        after += payload.case === 'change' ? 1 : 0;
        const resumed = watch(service.client, { ...request, resumeToken, heartbeatInterval: SHORT });
        await vi.waitFor(() => expect(resumed.messages.at(-1)?.payload.case).toBe('heartbeat'));
        expect(resumed.changes.map(({ eventId }) => eventId)).toEqual(told.slice(after));
        await resumed.cancel();
      }
    }
  });

  it('moves on with heartbeats, past what does not concern it', async () => {
    const studentId = await newStudent(service.client);
    const watching = await watchFromNow(service.client, { studentId, heartbeatInterval: SHORT });
    const [first] = watching.messages;
    const other = await newStudent(service.client);
    await newIep(service.client, other);
    await vi.waitFor(() => expect(watching.token).not.toBe(first?.resumeToken));
    expect(watching.changes).toEqual([]);
    const times = watching.messages.map(({ payload }) =>
      payload.case === 'heartbeat' ? timestampDate(payload.value.time!).getTime() : NaN,
    );
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.abs(times.at(-1)! - Date.now())).toBeLessThan(5000);
    await watching.cancel();
    // The place of the heartbeat is not before the creation.
    const resumed = watch(service.client, { studentId, resumeToken: watching.token, heartbeatInterval: SHORT });
    await newIep(service.client, studentId);
    await toldOf(resumed, 1);
    await resumed.cancel();
  });

  it('catches up after a long pause', async () => {
    const studentId = await newStudent(service.client);
    const { token } = await watchAndLeave(studentId);
    const all = await watchFromNow(service.client);
    const made = await createAtOnce([service.client], 1200, studentId);
    const resumed = watch(service.client, { studentId, resumeToken: token });
    await Promise.all([toldOf(resumed, 1200), toldOf(all, 1200)]);
    const versions = made.map(({ version }) => version).toSorted((a, b) => a - b);
    expect(versionsOf(resumed.changes)).toEqual(versions);
    expect(versionsOf(all.changes)).toEqual(versions);
    await Promise.all([resumed.cancel(), all.cancel()]);
  });

  async function watchAndLeave(studentId: string) {
    const watching = await watchFromNow(service.client, { studentId });
    await watching.cancel();
    return watching;
  }

  it('logs one line when it ends', async () => {
    for (const [, client] of clients()) {
      const requestId = randomUUID();
      const lines = () => service.log.lines.filter((entry) => entry['requestId'] === requestId);
      const watching = await watchFromNow(client, {}, { headers: { 'x-request-id': requestId } });
      expect(lines()).toEqual([]);
      await watching.cancel();
      await vi.waitFor(() => expect(lines()).toHaveLength(1));
      expect(lines()[0]).toMatchObject({ rpc: 'WatchIeps' });
    }
  });

  it('keeps a true ledger of everything so far', async () => {
    const watching = watch(service.client, { resumeToken: atFirst });
    const [row] = await database.query('select count(*) as count from events where iep_id is not null');
    await toldOf(watching, Number(row?.['count']));
    await expectLedger(watching.changes, database);
    expect(watching.messages[0]?.payload.case).toBe('change');
    await watching.cancel();
  });
});
