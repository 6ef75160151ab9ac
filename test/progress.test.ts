/** Notes on goals: kept by lineage, shown on every version of it, never lost. */
import { randomUUID } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Goal, type Iep, IepKind, IepSchema, ProgressStatus } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { describeRefusals, invalid, notFound, refusalOf, requestIdReused } from './support/refusal.ts';
import { HOSTILE_TEXTS, newIep, newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { FINAL_STATUSES, OTHER_STATUSES, setStatus } from './support/status.ts';

const { UNSPECIFIED, NOT_STARTED, IN_PROGRESS, MASTERED, DISCONTINUED } = ProgressStatus;
const GOALS = [
  { goalKey: 'reading', goalText: 'Reads.' },
  { goalKey: 'writing', goalText: 'Writes.' },
];

const goalNotFound = (iepId: string, goalKey: string) => ({
  code: 'NotFound',
  reason: 'GOAL_NOT_FOUND',
  committed: 'no',
  resource: `iep.v1.Goal ${iepId}/${goalKey}`,
});

describeOnBoth('progress', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;
  let studentId: string;
  let iep: Iep;

  beforeAll(async () => {
    database = await backend.create();
    service = await startInProcess(database.url);
    client = service.client;
  });
  beforeEach(async () => {
    studentId = await newStudent(client);
    iep = (await client.createIep({ studentId, academicYear: YEAR, goals: GOALS })).iep!;
  });
  afterEach(() => expectInvariants(database));
  afterAll(async () => {
    await service.stop();
    await database.drop();
  });

  async function record(
    note: string,
    progressStatus: ProgressStatus = UNSPECIFIED,
    iepId = iep.id,
    goalKey = 'reading',
  ): Promise<Goal> {
    const { goal } = await client.recordGoalProgress({ iepId, goalKey, note, progressStatus });
    return goal!;
  }
  const read = async (iepId = iep.id) => (await client.getIep({ iepId })).iep!;
  const notesOn = async (iepId = iep.id, index = 0) =>
    (await read(iepId)).goals[index]!.progress.map(({ note }) => note);

  it('is shown with the goal, by every read and protocol', async () => {
    const before = Date.now();
    const { goal } = await client.recordGoalProgress(
      {
        iepId: iep.id.toUpperCase(),
        goalKey: 'reading',
        progressStatus: IN_PROGRESS,
        note: ' 62 words\n\tCafe\u0301 ',
      },
      { headers: { 'x-user-id': 'teacher@district' } },
    );
    expect(goal).toMatchObject({
      ...GOALS[0],
      id: iep.goals[0]!.id,
      progressStatus: IN_PROGRESS,
      progress: [{ status: IN_PROGRESS, note: '62 words\n\tCaf\u00e9', recordedBy: 'teacher@district' }],
    });
    expect(timestampMs(goal!.progress[0]!.recordTime!)).toBeGreaterThanOrEqual(before - 1);
    const expected = { ...iep, goals: [goal, iep.goals[1]] };
    for (const reader of Object.values(clientsOf(service))) {
      expect((await reader.getIep({ iepId: iep.id })).iep).toEqual(expected);
      expect((await reader.getLatestIep({ studentId, academicYear: YEAR })).iep).toEqual(expected);
      expect((await reader.listIeps({ studentId })).ieps).toEqual([expected]);
      const { goal: longer } = await reader.recordGoalProgress({ iepId: iep.id, goalKey: 'writing', note: 'x' });
      expected.goals[1] = longer!;
    }
    expect(expected.goals[1]?.progress).toHaveLength(4);
  });

  it('gives a goal the status of its last note that has one', async () => {
    const given = [UNSPECIFIED, IN_PROGRESS, UNSPECIFIED, MASTERED, DISCONTINUED, UNSPECIFIED, NOT_STARTED];
    const shown = [];
    for (const status of given) {
      shown.push((await record('x', status)).progressStatus);
    }
    expect(shown).toEqual([NOT_STARTED, IN_PROGRESS, IN_PROGRESS, MASTERED, DISCONTINUED, DISCONTINUED, NOT_STARTED]);
    expect((await read()).goals[0]!.progress.map(({ status }) => status)).toEqual(given);
  });

  it('may be a status without a note, and keeps texts as they are', async () => {
    expect(await record('', MASTERED)).toMatchObject({ progress: [{ note: '', status: MASTERED }] });
    const texts = [...HOSTILE_TEXTS, '🦉'.repeat(4000)];
    for (const text of texts) {
      await record(text, UNSPECIFIED, iep.id, 'writing');
    }
    expect(await notesOn(iep.id, 1)).toEqual(texts);
  });

  it('shows the newest 100 notes, and a status from before them', async () => {
    await record('0', MASTERED);
    for (let count = 1; count <= 105; count++) {
      await record(`${count}`);
    }
    const { goals } = await read();
    expect(goals[0]!.progress.map(({ note }) => note)).toEqual(
      Array.from({ length: 100 }, (_, index) => `${index + 6}`),
    );
    expect(goals[0]!.progressStatus).toBe(MASTERED);
  });

  it('bumps nothing, and is recorded as a change without what was noted', async () => {
    const goal = await record('A secret observation', IN_PROGRESS);
    expect(await read()).toMatchObject({ etag: iep.etag, revision: 1, updateTime: iep.updateTime });
    const events = await database.query(`select * from events where rpc = 'RecordGoalProgress' and iep_id = ?`, iep.id);
    const [event] = events;
    expect(events).toHaveLength(1);
    const paths = event!['changed_paths'];
    expect(typeof paths === 'string' ? JSON.parse(paths) : paths).toEqual(['/goals/reading/progress']);
    expect(event).toMatchObject({ id: goal.progress[0]!.id, student_id: studentId, row_version: 1, to_status: null });
    expect(JSON.stringify(event)).not.toContain('secret');
  });

  it.each([...FINAL_STATUSES, ...OTHER_STATUSES].filter((status) => status !== 'DISCARDED'))(
    'may be recorded on a version that is %s',
    async (status) => {
      await setStatus(database, iep.id, status);
      expect((await record('x')).progress).toHaveLength(1);
      expect(await notesOn()).toEqual(['x']);
    },
  );

  it('is refused of a version that is DISCARDED', async () => {
    await record('x');
    await setStatus(database, iep.id, 'DISCARDED');
    const frozen = { code: 'FailedPrecondition', reason: 'CONTENT_FROZEN', committed: 'no', status: 'DISCARDED' };
    expect(await refusalOf(record('y'))).toEqual(frozen);
    expect(await refusalOf(record('y', MASTERED, iep.id, 'none'))).toEqual(frozen);
    expect(await notesOn()).toEqual(['x']);
  });

  it('is shown on earlier and later versions of the lineage, and on no other goal of that key', async () => {
    await record('first', IN_PROGRESS);
    await setStatus(database, iep.id, 'APPROVED');
    const based = async (basedOnIepId: string, academicYear: string, goals: object[] = []) => {
      const kind = IepKind.ANNUAL;
      return (await client.createIep({ studentId, academicYear, kind, basedOnIepId, goals })).iep!;
    };
    const next = await based(iep.id, '2026-2027');
    expect(next.goals).toMatchObject([
      { progressStatus: IN_PROGRESS, progress: [{ note: 'first' }] },
      { progress: [] },
    ]);
    const later = await based(next.id, '2027-2028', [{ goalKey: 'math', goalText: 'Counts.' }, GOALS[0]!]);
    expect(later.goals).toMatchObject([
      { progressStatus: NOT_STARTED, progress: [] },
      { progress: [{ note: 'first' }] },
    ]);
    const { iep: unrelated } = await client.createIep({ studentId, academicYear: YEAR, goals: GOALS });

    await record('second', MASTERED, later.id);
    await record('third', UNSPECIFIED, iep.id);
    await record('fourth', UNSPECIFIED, next.id);
    await record('other', DISCONTINUED, unrelated!.id);
    const all = ['first', 'second', 'third', 'fourth'];
    expect([await notesOn(iep.id), await notesOn(next.id), await notesOn(later.id, 1)]).toEqual([all, all, all]);
    expect(await notesOn(unrelated!.id)).toEqual(['other']);
    const [one, two] = [await read(iep.id), await read(later.id)];
    expect(one.goals[0]!.progressStatus).toBe(MASTERED);
    expect(two.goals[1]!.progress).toEqual(one.goals[0]!.progress);
    expect(
      (await client.listIeps({ studentId })).ieps.map(({ goals }) => goals.map(({ progress }) => progress.length)),
    ).toEqual([
      [4, 0],
      [1, 0],
      [4, 0],
      [0, 4],
    ]);
  });

  it('answers a repeated call with the goal as it is now', async () => {
    const request = { iepId: iep.id, goalKey: 'reading', note: 'x', requestId: randomUUID() };
    const { goal: first } = await client.recordGoalProgress(request);
    const last = await record('y', MASTERED);
    await setStatus(database, iep.id, 'DISCARDED');
    expect((await client.recordGoalProgress({ ...request, note: ' x ' })).goal).toEqual(last);
    expect(last.progress[0]).toEqual(first?.progress[0]);
    for (const over of [{ note: 'z' }, { goalKey: 'writing' }, { progressStatus: MASTERED }]) {
      expect(await refusalOf(client.recordGoalProgress({ ...request, ...over }))).toEqual(requestIdReused);
    }
  });

  it('answers a repeated call with GOAL_NOT_FOUND when the goal is gone', async () => {
    const request = { iepId: iep.id, goalKey: 'reading', note: 'x', requestId: randomUUID() };
    await client.recordGoalProgress(request);
    await database.query('delete from goals where id = ?', iep.goals[0]!.id);
    expect(await refusalOf(client.recordGoalProgress(request))).toEqual(goalNotFound(iep.id, 'reading'));
  });

  it('shows fewer long notes where all of them would be more than clients read', async () => {
    const goals = ['a', 'b', 'c'].map((goalKey) => ({ goalKey, goalText: 'Reads.' }));
    const { iep: large } = await client.createIep({ studentId, academicYear: YEAR, goals });
    const long = '🦉'.repeat(3990);
    for (let count = 0; count < 100; count++) {
      await Promise.all(goals.map(({ goalKey }) => record(`${count} ${long}`, UNSPECIFIED, large!.id, goalKey)));
    }
    await record('last', UNSPECIFIED, large!.id, 'c');
    const iepOfThree = await read(large!.id);
    const shown = iepOfThree.goals.map(({ progress }) => progress.map(({ note }) => note.split(' ')[0]));
    // A third of 2 MiB, for notes of about 16,000 bytes.
    const newest = Array.from({ length: 43 }, (_, index) => `${index + 57}`);
    expect(shown).toEqual([newest, newest, [...newest, 'last']]);
    expect(toBinary(IepSchema, iepOfThree).byteLength).toBeLessThan(4 * 1024 * 1024);

    const request = {
      studentId,
      academicYear: YEAR,
      kind: IepKind.ANNUAL,
      basedOnIepId: large!.id,
      goals: [goals[0]!],
    };
    const { iep: alone } = await client.createIep(request);
    expect(await notesOn(alone!.id)).toHaveLength(100);
  });
});

describeOnBoth('notes at once', (backend) => {
  let database: TestDatabase;
  let services: RunningService[];

  beforeAll(async () => {
    database = await backend.create();
    services = await Promise.all([startProcess(database.url), startProcess(database.url)]);
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await expectInvariants(database);
    await database.drop();
  });

  it.each([3, 90])('are all kept, %i from two processes, on several versions of the lineage', async (count) => {
    const clients = services.map((service) => service.client);
    const [client] = clients;
    const studentId = await newStudent(client!);
    const { iep } = await client!.createIep({ studentId, academicYear: YEAR, goals: GOALS });
    const { iep: next } = await client!.createIep({ studentId, academicYear: '2026-2027', basedOnIepId: iep!.id });
    const gone = await newIep(client!, studentId);
    const notes = Array.from({ length: count }, (_, index) => `note ${index}`);
    const requestId = randomUUID();
    const calls = notes.flatMap((note, index) => {
      const request = { iepId: [iep!, next!][index % 3 === 0 ? 1 : 0]!.id, goalKey: 'reading', note };
      const own = clients[index % 2]!;
      // One in three is sent twice, to both processes, and some calls among them are refused.
      return index % 3 === 0
        ? clients.map((either) =>
            either.recordGoalProgress({
              ...request,
              requestId: requestId.slice(0, -2) + String(index).padStart(2, '0'),
            }),
          )
        : [own.recordGoalProgress(request)];
    });
    const refused = clients.map((either) =>
      refusalOf(either.recordGoalProgress({ iepId: gone.id, goalKey: 'reading', note: 'lost' })),
    );
    const answers = await Promise.all(calls);
    expect(await Promise.all(refused)).toEqual(clients.map(() => goalNotFound(gone.id, 'reading')));
    for (const { id } of [iep!, next!]) {
      const [reading, writing] = (await client!.getIep({ iepId: id })).iep!.goals;
      expect(reading!.progress.map(({ note }) => note).toSorted()).toEqual(notes.toSorted());
      expect(writing!.progress).toEqual([]);
      const ids = new Set(reading!.progress.map((note) => note.id));
      expect(ids.size).toBe(count);
      expect(answers.every(({ goal }) => goal!.progress.every((note) => ids.has(note.id)))).toBe(true);
    }
  });

  it('are kept beside a version that is made from the base meanwhile', async () => {
    const clients = services.map((service) => service.client);
    const studentId = await newStudent(clients[0]!);
    const { iep } = await clients[0]!.createIep({ studentId, academicYear: YEAR, goals: GOALS });
    const notes = Array.from({ length: 20 }, (_, index) => `note ${index}`);
    const [copies] = await Promise.all([
      Promise.all(
        clients.flatMap((client) =>
          ['2026-2027', YEAR].map((academicYear) =>
            client.createIep({ studentId, academicYear, basedOnIepId: iep!.id, kind: IepKind.ANNUAL }),
          ),
        ),
      ),
      Promise.all(
        notes.map((note, index) =>
          clients[index % 2]!.recordGoalProgress({ iepId: iep!.id, goalKey: 'reading', note }),
        ),
      ),
    ]);
    for (const id of [iep!.id, ...copies.map((copy) => copy.iep!.id)]) {
      const { iep: seen } = await clients[1]!.getIep({ iepId: id });
      expect(seen!.goals[0]!.progress.map(({ note }) => note).toSorted()).toEqual(notes.toSorted());
    }
  });
});

describeRefusals('bad progress', (fixture) => {
  type Request = Parameters<IepClient['recordGoalProgress']>[0];
  const refused = (over: Request) =>
    refusalOf(fixture.client.recordGoalProgress({ iepId: fixture.iep.id, goalKey: 'reading', note: 'x', ...over }));

  it.each<[string, Request, ...string[]]>([
    ['an empty iep_id', { iepId: '' }, 'iep_id'],
    ['an iep_id that is no UUID', { iepId: 'x' }, 'iep_id'],
    ['an empty goal_key', { goalKey: '' }, 'goal_key'],
    ['a goal_key that cannot be one', { goalKey: 'a b' }, 'goal_key'],
    ['neither a status nor a note', { note: '' }, 'note'],
    ['white space for a note', { note: ' \n\t' }, 'note'],
    ['an invisible note', { note: '\u200b' }, 'note'],
    ['a note that is too long', { note: 'x'.repeat(4001), progressStatus: MASTERED }, 'note'],
    ['a note with NUL', { note: 'a\u0000' }, 'note'],
    ['a note with an override of direction', { note: 'a\u202e' }, 'note'],
    ['a carriage return in a note', { note: 'a\rb' }, 'note'],
    ['a status that there is not', { progressStatus: 9 as ProgressStatus }, 'progress_status'],
    ['a request_id that is no UUID', { requestId: 'x' }, 'request_id'],
    [
      'everything at once',
      { iepId: 'x', goalKey: '!', note: '\u0007', progressStatus: -1 as ProgressStatus, requestId: 'x' },
      'iep_id',
      'goal_key',
      'progress_status',
      'note',
      'request_id',
    ],
  ])('is refused: %s', async (_what, over, ...fields) => {
    expect(await refused(over)).toEqual(invalid(...fields));
  });

  it('is refused of what is not there', async () => {
    const unknown = randomUUID();
    const { id } = fixture.iep;
    expect(await refused({ iepId: unknown })).toEqual(notFound('Iep', unknown));
    expect(await refused({})).toEqual(goalNotFound(id, 'reading'));
  });
});
