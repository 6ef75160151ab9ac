/** The change feed under commits that come late, and what it leaves behind when nobody watches. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createWatchIeps, type WatchMessage } from '../src/iep/watch-ieps.ts';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import { describeOnBoth, expectInvariants, postgresql } from './support/databases.ts';
import { newIep, newStudent, YEAR } from './support/samples.ts';
import { type RunningService, startInProcess } from './support/service.ts';
import { connectPostgreSql, type TestDatabase } from './support/sql.ts';
import { toldOf, watch, watchFromNow } from './support/watching.ts';

const SHORT = { seconds: 0n, nanos: 100_000_000 };

describe('a commit that comes late', () => {
  let database: TestDatabase;
  let other: TestDatabase;
  let service: RunningService;

  beforeAll(async () => {
    database = await postgresql.create();
    other = connectPostgreSql(database.url);
    service = await startInProcess(database.url);
  });
  afterAll(async () => {
    await service.stop();
    await other.drop();
    await expectInvariants(database);
    await database.drop();
  });

  /** A version with its event, in a transaction that stays open. */
  async function beginCreation(studentId: string): Promise<string> {
    const iepId = randomUUID();
    await other.query('begin');
    await other.query(
      `insert into ieps (district_id, id, student_id, academic_year, version, kind, status, content, created_by,
         create_time, update_time, revision, row_version)
       values ('default', ?, ?, ?, 1, 'INITIAL', 'DRAFT', '{}', 'slow', now(), now(), 1, 1)`,
      iepId,
      studentId,
      YEAR,
    );
    await other.query(
      `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, iep_id, to_status,
         row_version, changed_paths)
       values ('default', ?, 'CreateIep', 0, 'slow', now(), ?, ?, 'DRAFT', 1, '[]')`,
      randomUUID(),
      studentId,
      iepId,
    );
    return iepId;
  }

  it.each(['commit', 'rollback'])('holds back what came after its beginning, until its %s', async (end) => {
    const [early, late] = [await newStudent(service.client), await newStudent(service.client)];
    const all = await watchFromNow(service.client, { heartbeatInterval: SHORT });
    const ofLate = await watchFromNow(service.client, { studentId: late, heartbeatInterval: SHORT });
    const slow = await beginCreation(early);
    const quick = [(await newIep(service.client, late)).id, (await newIep(service.client, late)).id];
    // A watch that begins, and one that goes on, in between.
    const between = watch(service.client, { resumeToken: all.token, heartbeatInterval: SHORT });
    const fresh = await watchFromNow(service.client, { heartbeatInterval: SHORT });
    const watchers = [all, ofLate, between, fresh];
    const counts = watchers.map(({ messages }) => messages.length);
    await vi.waitFor(() =>
      watchers.forEach(({ messages }, index) => expect(messages.length).toBeGreaterThan(counts[index]! + 3)),
    );
    // What another process committed meanwhile comes with the tail's next turns; several have passed.
    watchers.forEach(({ changes }) => expect(changes).toEqual([]));
    await other.query(end);
    const expected = end === 'commit' ? [slow, ...quick] : quick;
    for (const watching of [all, between, fresh]) {
      await toldOf(watching, expected.length);
      expect(watching.changes.map(({ iep }) => iep?.id)).toEqual(expected);
    }
    await toldOf(ofLate, 2);
    expect(ofLate.changes.map(({ iep }) => iep?.id)).toEqual(quick);
    // The same to one who comes later.
    const resumed = watch(service.client, { resumeToken: all.messages[0]!.resumeToken });
    await toldOf(resumed, expected.length);
    expect(resumed.changes).toEqual(all.changes);
    await Promise.all([...watchers, resumed].map((watching) => watching.cancel()));
  });

  it('is told at once when it comes', async () => {
    const studentId = await newStudent(service.client);
    const all = await watchFromNow(service.client);
    await beginCreation(await newStudent(service.client));
    await newIep(service.client, studentId);
    await other.query('commit');
    await toldOf(all, 2);
    expect(all.changes.map(({ actor }) => actor)).toEqual(['slow', 'anonymous']);
    await all.cancel();
  });
});

describeOnBoth('a feed that nobody watches', (backend) => {
  let database: TestDatabase;
  let db: Database;
  /** What the feed has of the database. */
  const held = { listeners: 0, reads: 0 };

  beforeAll(async () => {
    database = await backend.create();
    db = await openDatabase({ url: database.url, poolSize: 3, versionLock: 'advisory', migrate: 'off' });
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  const counted = (): Database => ({
    ...db,
    read(...args) {
      held.reads++;
      return db.read(...args);
    },
    onCommit(listener) {
      held.listeners++;
      const stop = db.onCommit(listener);
      return () => {
        held.listeners--;
        stop();
      };
    },
  });

  const begin = async (watchIeps: ReturnType<typeof createWatchIeps>, signal: AbortSignal) => {
    const caller = { districtId: 'default', principal: 'x', signal };
    const messages = watchIeps(caller, { studentId: undefined, after: undefined, heartbeatMs: 60_000 });
    expect((await messages.next()).value).toMatchObject({ position: { eventId: null } });
    return messages;
  };
  const settled = (next: Promise<IteratorResult<WatchMessage>>) =>
    next.then(
      () => 'told',
      () => 'ended',
    );

  it('holds nothing and asks for nothing', async () => {
    const watchIeps = createWatchIeps(counted());
    expect(held).toEqual({ listeners: 0, reads: 0 });
    const cancellers = Array.from({ length: 50 }, () => new AbortController());
    const watchers = await Promise.all(cancellers.map(({ signal }) => begin(watchIeps, signal)));
    expect(held.listeners).toBe(1);
    // Half of them wait, half of them stand still, for who reads them does.
    const waiting = watchers.slice(25).map((messages) => settled(messages.next()));
    const { reads } = held;
    await vi.waitFor(() => expect(held.reads).toBeGreaterThan(reads + 2));
    expect(held.reads).toBeLessThan(reads + 10);
    await Promise.all(watchers.slice(0, 25).map((messages) => messages.return(undefined as never)));
    expect(held.listeners).toBe(1);
    cancellers.forEach((canceller) => canceller.abort());
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => 'ended'));
    expect(held.listeners).toBe(0);
    const atEnd = held.reads;
    await new Promise((resolve) => void setTimeout(resolve, 600));
    expect(held.reads).toBeLessThanOrEqual(atEnd + 1);
    // And it can begin again.
    const again = await begin(watchIeps, new AbortController().signal);
    expect(held.listeners).toBe(1);
    await again.return(undefined as never);
    expect(held.listeners).toBe(0);
  });
});
