/** Which documents a watch tells: from where they come, and how many at a time. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { changeStatus } from '../src/iep/change-status.ts';
import { createIep } from '../src/iep/create-iep.ts';
import { createStudents } from '../src/iep/create-students.ts';
import type { GoalDraft } from '../src/iep/iep-draft.ts';
import type { IepDocument } from '../src/iep/iep-document.ts';
import { recordGoalProgress } from '../src/iep/record-goal-progress.ts';
import { updateIep } from '../src/iep/update-iep.ts';
import { createWatchIeps, type WatchMessage, type WatchPosition } from '../src/iep/watch-ieps.ts';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import type { Reader, UnitOfWork } from '../src/persistence/unit-of-work.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { YEAR } from './support/samples.ts';
import type { TestDatabase } from './support/sql.ts';

const KIB = 1024;
const GOAL: GoalDraft = {
  goalKey: undefined,
  domain: 'READING',
  goalText: 'Reads a page aloud',
  baseline: '',
  targetCriteria: '',
  measurementMethod: '',
  measurementFrequency: null,
  startDate: null,
  targetDate: null,
};
const call = { deadline: Date.now() + 600_000, signal: new AbortController().signal };
const caller = { ...call, districtId: 'default', principal: 'x' };

describeOnBoth('the documents of a watch', (backend) => {
  let database: TestDatabase;
  /** The watch's process, and another one. */
  let db: Database;
  let other: Database;
  let studentId: string;
  let messages: AsyncGenerator<WatchMessage, never>;
  let start: WatchPosition;
  /** Statements by which the watch has read documents. */
  let documentReads = 0;

  beforeAll(async () => {
    database = await backend.create();
    const options = { url: database.url, poolSize: 3, versionLock: 'advisory', migrate: 'off' } as const;
    db = await openDatabase(options);
    other = await openDatabase(options);
  });
  afterAll(async () => {
    await Promise.all([db.close(), other.close()]);
    await expectInvariants(database);
    await database.drop();
  });

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    studentId = await newStudent();
    messages = createWatchIeps(counting())(caller, { studentId, after: undefined, heartbeatMs: 60_000 });
    const { value: first } = await messages.next();
    start = first.position;
    documentReads = 0;
  });
  afterEach(async () => {
    vi.useRealTimers();
    await messages.return(undefined as never);
  });

  /** The same database, with its reads of documents counted. */
  const counting = (): Database => ({
    ...db,
    read: (given, work) => db.read(given, (reader) => work({ ...reader, em: counted(reader.em) })),
  });
  const counted = (em: Reader['em']) =>
    new Proxy(em, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name !== 'execute') {
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return (sql: string, params: unknown[]) => {
          documentReads += sql.includes('based_on_iep_id') ? 1 : 0;
          return target.execute(sql, params);
        };
      },
    });

  async function newStudent(): Promise<string> {
    const fields = { givenName: 'Ada', familyName: 'Byron', birthDate: null, gradeLevel: null, disabilities: [] };
    const students = [{ ...fields, studentNumber: randomUUID() }];
    const [student] = await createStudents(db, caller, 'CreateStudent', { students, requestId: undefined });
    return student!.id;
  }
  const create = (process: Database, bytes: number, goals: GoalDraft[] = [], of = studentId) =>
    createIep(process, caller, {
      studentId: of,
      academicYear: YEAR,
      kind: undefined,
      basedOnIepId: undefined,
      expectedLatestVersion: undefined,
      requestId: undefined,
      content: { text: 'x'.repeat(bytes) },
      goals,
      meetingDate: null,
      effectiveDate: null,
      reviewDate: null,
    });
  const edit = (process: Database, iepId: string, bytes: number) => {
    const fields = { content: { text: 'y'.repeat(bytes) } };
    return updateIep(process, caller, { iepId, etag: '*', fields, paths: ['content'], requestId: undefined });
  };
  const submit = (process: Database, iepId: string) =>
    changeStatus(process, caller, 'SubmitIep', { iepId, etag: '*', comment: '', requestId: undefined });
  /** Creates, edits and submits a version while nobody reads the watch. */
  async function live(process: Database, bytes: number): Promise<readonly IepDocument[]> {
    const created = await create(process, bytes);
    const edited = await edit(process, created.iep.id, bytes);
    return [created, edited, await submit(process, created.iep.id)];
  }
  async function told(count: number, by = messages): Promise<IepDocument[]> {
    const documents: IepDocument[] = [];
    while (documents.length < count) {
      const { change } = (await by.next()).value;
      documents.push(change!.document);
    }
    return documents;
  }
  const comparable = ({ iep, goals }: IepDocument) => ({ iep, goals });

  it('are kept for a moment when the process has changed them', async () => {
    const last = (await live(db, KIB)).at(-1)!;
    expect((await told(3)).map(comparable)).toEqual([last, last, last].map(comparable));
    expect(documentReads).toBe(0);
  });

  it('are kept as they were before a change that the process does not know', async () => {
    const created = await create(db, KIB);
    const edited = await edit(other, created.iep.id, KIB);
    expect((await told(2)).map(comparable)).toEqual([created, edited].map(comparable));
    expect(documentReads).toBeGreaterThan(0);
  });

  it('are read when a note was added', async () => {
    const { iep, goals } = await create(db, KIB, [GOAL]);
    const { goalKey } = goals[0]!;
    const note = { iepId: iep.id, goalKey, progressStatus: undefined, note: 'reads', requestId: undefined };
    await recordGoalProgress(db, caller, note);
    const [, noted] = await told(2);
    expect(noted!.goals[0]!.progress.map((each) => each.note)).toEqual(['reads']);
    expect(documentReads).toBeGreaterThan(0);
  });

  it.each([
    ['another process has made them', async () => live(other, KIB)],
    ['they are large', async () => live(db, 20 * KIB)],
    [
      'some time has passed',
      async () => {
        const documents = await live(db, KIB);
        vi.setSystemTime(Date.now() + 300);
        return documents;
      },
    ],
    [
      'many others were changed since',
      async () => {
        const documents = await live(db, KIB);
        for (let index = 0; index < 256; index++) {
          await create(db, 1, [], await newStudent());
        }
        return documents;
      },
    ],
  ])('are read when %s', async (_when, make) => {
    const last = (await make()).at(-1)!;
    expect((await told(3)).map(comparable)).toEqual([last, last, last].map(comparable));
    expect(documentReads).toBeGreaterThan(0);
  });

  it('are read as many at a time as take half a megabyte', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      ids.push((await create(other, 200 * KIB)).iep.id);
    }
    const later = createWatchIeps(db)(caller, { studentId, after: start, heartbeatMs: 60_000 });
    const [first] = await told(1, later);
    // What has been read with the first one is as it was.
    for (const id of ids) {
      await edit(other, id, 201 * KIB);
    }
    const documents = [first!, ...(await told(4, later))];
    await later.return(undefined as never);
    expect(documents.map(({ iep }) => iep.id)).toEqual(ids);
    expect(documents.map(({ iep }) => iep.revision)).toEqual([1, 1, 2, 2, 2]);
  });
});

describeOnBoth('what a unit of work announces', (backend) => {
  let database: TestDatabase;
  let db: Database;
  const heard: unknown[] = [];

  beforeAll(async () => {
    database = await backend.create();
    db = await openDatabase({ url: database.url, poolSize: 3, versionLock: 'advisory', migrate: 'off' });
    db.onCommit((news) => heard.push(...news));
  });
  beforeEach(() => void (heard.length = 0));
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  const run = (work: (unit: UnitOfWork) => Promise<void>) => db.unitOfWork('lane', call, work);

  it('is told before its caller is answered', async () => {
    const heardByThen = run(async (unit) => {
      unit.announce('one');
      unit.announce('two');
      expect(heard).toEqual([]);
    }).then(() => [...heard]);
    expect(await heardByThen).toEqual(['one', 'two']);
  });

  it('is not told when it fails', async () => {
    const failing = run(async (unit) => {
      unit.announce('never');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await run(async () => undefined);
    expect(heard).toEqual([]);
  });

  it('is told once when it is tried again', async () => {
    await run(async (unit) => {
      unit.announce(unit.attempt);
      if (unit.attempt < 3) {
        throw Object.assign(new Error('conflict'), { code: backend.name === 'SQLite' ? 'SQLITE_BUSY' : '40001' });
      }
    });
    expect(heard).toEqual([3]);
  });
});
