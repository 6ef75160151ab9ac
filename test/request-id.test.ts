/** A request_id makes a write safe to repeat. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Goal, Iep } from '../src/gen/iep/v1/iep_pb.ts';
import type { Student } from '../src/gen/iep/v1/student_pb.ts';
import {
  countRows,
  invalid,
  notFound,
  numberTaken,
  refusalOf,
  refusalsOf,
  requestIdReused,
} from './support/refusal.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { as, GOAL, iepIn, type Move, move } from './support/lifecycle.ts';
import { newIep, newStudent, sampleStudent, YEAR } from './support/samples.ts';
import { failureOf, type IepClient, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

/** Calls an RPC; two calls with the same text have the same payload. */
type Write = (
  client: IepClient,
  requestId: string,
  text: string,
) => Promise<Student | Student[] | Iep | Goal | undefined>;

/** Each RPC that writes, on a target of its own. */
const WRITES: Record<string, (client: IepClient) => Promise<Write>> = {
  async CreateStudent() {
    const student = sampleStudent();
    return async (client, requestId, givenName) =>
      (await client.createStudent({ requestId, student: { ...student, givenName } })).student;
  },
  async BatchCreateStudents() {
    const students = Array.from({ length: 30 }, () => sampleStudent());
    return async (client, requestId, givenName) => {
      const named = students.map((student) => ({ ...student, givenName }));
      return (await client.batchCreateStudents({ requestId, students: named })).students;
    };
  },
  async UpdateStudent(anyClient) {
    const id = await newStudent(anyClient);
    return async (client, requestId, givenName) =>
      (await client.updateStudent({ requestId, student: { id, etag: '1', givenName } })).student;
  },
  async CreateIep(anyClient) {
    const studentId = await newStudent(anyClient);
    return async (client, requestId, summary) => {
      const goals = [{ goalText: 'reads', startDate: '2025-09-01' }, { goalText: 'writes' }];
      return (await client.createIep({ requestId, studentId, academicYear: YEAR, goals, content: { summary } })).iep;
    };
  },
  async RecordGoalProgress(anyClient) {
    const studentId = await newStudent(anyClient);
    const goals = [{ goalKey: 'reading', goalText: 'reads' }];
    const { iep } = await anyClient.createIep({ studentId, academicYear: YEAR, goals });
    return async (client, requestId, note) =>
      (await client.recordGoalProgress({ requestId, iepId: iep!.id, goalKey: 'reading', note })).goal;
  },
  async UpdateIep(anyClient) {
    const { id } = await iepIn(anyClient, 'RETURNED');
    return async (client, requestId, summary) =>
      (await client.updateIep({ requestId, iep: { id, etag: '3', content: { summary }, goals: [GOAL] } })).iep;
  },
  SubmitIep: moving('submitIep', 'DRAFT', '1'),
  ReturnIep: moving('returnIep', 'UNDER_REVIEW', '2'),
  ApproveIep: moving('approveIep', 'UNDER_REVIEW', '2'),
  ActivateIep: moving('activateIep', 'APPROVED', '3'),
  EndIep: moving('endIep', 'ACTIVE', '4'),
  DiscardIep: moving('discardIep', 'APPROVED', '3'),
};

/** Moves a document on from this status and etag; the comment is the payload. An activation supersedes another one. */
function moving(name: Move, status: string, etag: string) {
  return async (anyClient: IepClient): Promise<Write> => {
    const { studentId } = await iepIn(anyClient, name === 'activateIep' ? 'ACTIVE' : 'DRAFT');
    const { id: iepId } = await iepIn(anyClient, status, { studentId });
    return (client, requestId, comment) => move(client, iepId, name, { requestId, comment, etag });
  };
}

describeOnBoth('request_id', (backend) => {
  let database: TestDatabase;
  let client: IepClient;
  let other: IepClient;
  const services: RunningService[] = [];

  beforeAll(async () => {
    database = await backend.create();
    services.push(await startInProcess(database.url), await startInProcess(database.url));
    [client, other] = services.map((service) => service.client) as [IepClient, IepClient];
  });
  afterEach(() => expectInvariants(database));
  afterAll(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await database.drop();
  });

  describe.each(Object.entries(WRITES))('of %s', (rpc, prepare) => {
    it('answers a repeated call with what the first one made', async () => {
      const write = await prepare(client);
      const requestId = randomUUID();
      const first = await write(client, requestId, 'Ada');
      const rows = await countRows(database);
      expect(await write(client, requestId, 'Ada')).toEqual(first);
      expect(await write(other, requestId.toUpperCase(), 'Ada')).toEqual(first);
      expect(await countRows(database)).toEqual(rows);
    });

    it('makes concurrent copies one, over two services', async () => {
      const write = await prepare(client);
      const requestId = randomUUID();
      const copies = Array.from({ length: 12 }, (_, index) => write(index % 2 ? client : other, requestId, 'Ada'));
      const [first, ...rest] = await Promise.all(copies);
      expect(rest).toEqual(rest.map(() => first));
      const events = await database.query('select id from events where request_id = ?', requestId);
      const rows = Array.isArray(first) ? first.length : 1;
      expect(events).toHaveLength(rpc === 'ActivateIep' ? 2 : rows);
    });

    it('is refused with another payload', async () => {
      const write = await prepare(client);
      const requestId = randomUUID();
      const first = await write(client, requestId, 'Ada');
      const rows = await countRows(database);
      expect(await refusalOf(write(client, requestId, 'Eve'))).toEqual(requestIdReused);
      expect(await write(client, requestId, 'Ada')).toEqual(first);
      expect(await countRows(database)).toEqual(rows);
    });

    it('is won by one of two payloads that race for it', async () => {
      const write = await prepare(client);
      const requestId = randomUUID();
      const calls = [write(client, requestId, 'Ada'), write(other, requestId, 'Eve')];
      const ends = await Promise.allSettled(calls);
      const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
      expect(lost).toHaveLength(1);
      expect(await refusalOf(Promise.reject(lost[0]))).toEqual(requestIdReused);
    });
  });

  it('has a namespace for each RPC', async () => {
    const requestId = randomUUID();
    for (const prepare of Object.values(WRITES)) {
      const write = await prepare(client);
      await expect(write(client, requestId, 'Ada')).resolves.toBeDefined();
    }
    const [row] = await database.query(
      'select count(distinct rpc) as rpcs from events where request_id = ?',
      requestId,
    );
    expect(Number(row?.['rpcs'])).toBe(Object.keys(WRITES).length);
  });

  it('knows a payload that is written in another way', async () => {
    const requestId = randomUUID();
    const number = randomUUID();
    const zoe = { studentNumber: number, givenName: 'Zo\u00eb', familyName: 'Ng' };
    const first = await client.createStudent({ requestId, student: zoe });
    const student = { ...zoe, studentNumber: ` ${number}`, givenName: 'Zoe\u0308 ', id: randomUUID(), etag: '9' };
    expect(await client.createStudent({ requestId, student })).toEqual(first);

    const chain = { requestId, studentId: first.student!.id, academicYear: YEAR };
    const { iep } = await client.createIep({ ...chain, content: { a: 0, b: { c: 1, d: 2 } } });
    const again = { ...chain, studentId: chain.studentId.toUpperCase(), content: { b: { d: 2, c: 1 }, a: -0 } };
    expect((await client.createIep(again)).iep).toEqual(iep);
  });

  it('tells payloads apart that differ by a default only', async () => {
    const requestId = randomUUID();
    const chain = { requestId, studentId: await newStudent(client), academicYear: YEAR };
    await client.createIep({ ...chain, content: { a: null } });
    const refusals = await refusalsOf([
      client.createIep({ ...chain, content: {} }),
      client.createIep({ ...chain, content: { a: '' } }),
      client.createIep({ ...chain, content: { a: null }, kind: 1 }),
      client.createIep({ ...chain, content: { a: null }, expectedLatestVersion: 0 }),
      client.createIep({ ...chain, content: { a: null }, academicYear: '2026-2027' }),
    ]);
    expect(refusals).toEqual(refusals.map(() => requestIdReused));
  });

  it('is not used up by a call that is refused or only validated', async () => {
    const requestId = randomUUID();
    const { student } = await client.createStudent({ student: sampleStudent() });
    const { id: studentId, studentNumber } = student!;
    const taken = sampleStudent({ studentNumber });
    const unknown = randomUUID();
    const refusals = await refusalsOf([
      client.createStudent({ requestId, student: taken }),
      client.batchCreateStudents({ requestId, students: [sampleStudent(), taken] }),
      client.updateStudent({ requestId, student: { id: studentId, etag: '7', givenName: 'Eve' } }),
      client.createIep({ requestId, studentId: unknown, academicYear: YEAR }),
      client.createIep({ requestId, studentId, academicYear: YEAR, expectedLatestVersion: 4 }),
      client.createIep({ requestId, studentId, academicYear: YEAR, effectiveDate: 'soon' }),
    ]);
    expect(refusals).toMatchObject([
      numberTaken(studentNumber),
      numberTaken(studentNumber),
      { reason: 'ETAG_MISMATCH' },
      notFound('Student', unknown),
      { reason: 'VERSION_MISMATCH' },
      invalid('effective_date'),
    ]);
    const preview = await client.createIep({ requestId, studentId, academicYear: YEAR, validateOnly: true });
    expect(preview.iep?.version).toBe(1);

    expect((await client.createStudent({ requestId, student: sampleStudent() })).student?.etag).toBe('1');
    expect((await client.batchCreateStudents({ requestId, students: [sampleStudent()] })).students).toHaveLength(1);
    const update = { id: studentId, etag: '1', givenName: 'Eve' };
    expect((await client.updateStudent({ requestId, student: update })).student?.givenName).toBe('Eve');
    expect((await client.createIep({ requestId, studentId, academicYear: YEAR })).iep?.version).toBe(1);
  });

  it('is looked at before expected_latest_version and etag', async () => {
    const requestId = randomUUID();
    const studentId = await newStudent(client);
    const request = { requestId, studentId, academicYear: YEAR, expectedLatestVersion: 0 };
    const first = await client.createIep(request);
    await newIep(client, studentId);
    expect(await client.createIep(request)).toEqual(first);
    const anew = client.createIep({ ...request, requestId: randomUUID() });
    expect((await failureOf(anew)).rawMessage).toContain('latest version is 2');
    // A preview is no replay.
    const preview = client.createIep({ ...request, validateOnly: true });
    expect(await refusalOf(preview)).toMatchObject({ reason: 'VERSION_MISMATCH' });
  });

  it('answers the resource as it is now', async () => {
    const [create, update] = [randomUUID(), randomUUID()];
    const student = sampleStudent();
    const { student: created } = await client.createStudent({ requestId: create, student });
    const id = created!.id;
    const { student: renamed } = await client.updateStudent({
      requestId: update,
      student: { id, etag: '1', givenName: 'Eve' },
    });
    expect((await client.createStudent({ requestId: create, student })).student).toEqual(renamed);
    const { student: moved } = await client.updateStudent({ student: { id, etag: '*', gradeLevel: '5' } });
    const replay = await client.updateStudent({ requestId: update, student: { id, etag: '1', givenName: 'Eve' } });
    expect(replay.student).toEqual(moved);
  });

  it('answers each change of a document after it has moved on, however far', async () => {
    const { id, studentId } = await iepIn(client, 'DRAFT');
    const steps: [Move | 'updateIep', string][] = [
      ['updateIep', '1'],
      ['submitIep', '2'],
      ['returnIep', '3'],
      ['submitIep', '4'],
      ['approveIep', '5'],
      ['activateIep', '6'],
      ['endIep', '7'],
    ];
    const calls = steps.map(([name, etag]) => {
      const requestId = randomUUID();
      return async (by: IepClient) =>
        name === 'updateIep'
          ? (await by.updateIep({ requestId, iep: { id, etag, content: { edited: true } } })).iep!
          : move(by, id, name, { requestId, etag });
    });
    for (const call of calls) {
      await call(client);
    }
    const { iep: ended } = await client.getIep({ iepId: id });
    const rows = await countRows(database);
    for (const call of calls) {
      expect(await call(client)).toEqual(ended);
      expect(await call(other)).toEqual(ended);
    }
    expect(await countRows(database)).toEqual(rows);

    const discarded = await iepIn(client, 'DRAFT', { studentId });
    const [submit, discard] = [randomUUID(), randomUUID()];
    await move(client, discarded.id, 'submitIep', { requestId: submit });
    const last = await move(client, discarded.id, 'discardIep', { requestId: discard });
    expect(await move(client, discarded.id, 'submitIep', { requestId: submit })).toEqual(last);
  });

  it('of a refused change is not used up', async () => {
    const requestId = randomUUID();
    const { id: iepId } = await iepIn(client, 'DRAFT', { content: {}, goals: [], reviewDate: '' });
    const refused = async (call: Promise<unknown>) => (await refusalOf(call)).reason;
    const save = (etag: string, review: string) =>
      client.updateIep({ requestId, iep: { id: iepId, etag, reviewDate: review, content: { a: 1 }, goals: [GOAL] } });
    expect(await refused(move(client, iepId, 'submitIep', { requestId }))).toBe('SUBMISSION_EMPTY');
    expect(await refused(save('7', '2026-01-01'))).toBe('ETAG_MISMATCH');
    expect(await refused(save('1', '2000-01-01'))).toBe('INVALID_FIELD');
    await save('1', '2026-01-01');
    await move(client, iepId, 'submitIep', { requestId });
    expect(await refused(move(client, iepId, 'activateIep', { requestId }))).toBe('ILLEGAL_TRANSITION');
    expect(await refused(client.approveIep({ requestId, iepId, etag: '*' }, as('teacher')))).toBe('APPROVER_IS_AUTHOR');
    await move(client, iepId, 'approveIep', { requestId });
    await move(client, iepId, 'activateIep', { requestId });
  });

  it('of one document is refused for another', async () => {
    const ieps = [await iepIn(client, 'DRAFT'), await iepIn(client, 'DRAFT')];
    for (const name of ['submitIep', 'discardIep'] as const) {
      const requestId = randomUUID();
      await move(client, ieps[0]!.id, name, { requestId });
      expect(await refusalOf(move(client, ieps[1]!.id, name, { requestId }))).toEqual(requestIdReused);
    }
    const requestId = randomUUID();
    const third = [await iepIn(client, 'DRAFT'), await iepIn(client, 'DRAFT')];
    const ends = await Promise.allSettled(
      third.map(({ id }, index) => move(index === 0 ? client : other, id, 'submitIep', { requestId })),
    );
    const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    expect(lost).toHaveLength(1);
    expect(await refusalOf(Promise.reject(lost[0]))).toEqual(requestIdReused);
  });
});
