/** Students, created alone and in batches. */
import { randomUUID } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Disability } from '../src/gen/iep/v1/student_pb.ts';
import { countRows, invalid, numberTaken, refusalsOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { HOSTILE_TEXTS, sampleStudent } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const GRADE_LEVELS = ['PK', 'K', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', 'AGE_OUT'];
const { AUTISM, VISUAL_IMPAIRMENT } = Disability;

describeOnBoth('students', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, service, client } = started));
  afterEach(() => vi.useRealTimers());

  const get = async (studentId: string) => (await client.getStudent({ studentId })).student!;
  const made = async (over: Parameters<typeof sampleStudent>[0] = {}) =>
    (await client.createStudent({ student: sampleStudent(over) })).student!;

  describe('creation', () => {
    it('answers the student, and so does every read', async () => {
      const fields = {
        studentNumber: randomUUID(),
        givenName: 'Ada',
        familyName: 'Lovelace',
        birthDate: '2015-12-10',
        gradeLevel: '4',
        disabilities: [VISUAL_IMPAIRMENT, AUTISM],
      };
      const before = Date.now();
      const { student } = await client.createStudent({ student: fields });
      expect(student).toMatchObject({ ...fields, districtId: 'default', updateTime: student!.createTime });
      expect(student?.id).toMatch(UUID_V7);
      expect(student?.etag).not.toBe('');
      const created = timestampDate(student!.createTime!).getTime();
      expect(created).toBeGreaterThanOrEqual(before - 1);
      expect(created).toBeLessThanOrEqual(Date.now() + 1);
      for (const reader of Object.values(clientsOf(service))) {
        expect((await reader.getStudent({ studentId: student!.id })).student).toEqual(student);
        const { students } = await reader.listStudents({ studentNumber: fields.studentNumber });
        expect(students).toEqual([student]);
      }
    });

    it('ignores output-only fields', async () => {
      const output = { id: randomUUID(), districtId: 'other', etag: 'x', createTime: { seconds: -1n } };
      const student = await made(output);
      expect(student).toMatchObject({ districtId: 'default', etag: '1' });
      expect(student.id).not.toBe(output.id);
      expect(student.createTime?.seconds).not.toBe(-1n);
    });

    it.each([
      ['trims', ' \u00a0Ada\n', 'Ada'],
      ['composes', 'Zoe\u0308', 'Zo\u00eb'],
      ['counts code points', '🦉'.repeat(100), '🦉'.repeat(100)],
      ['counts composed characters', 'e\u0301'.repeat(100), '\u00e9'.repeat(100)],
      ['keeps joiners between letters', 'क्\u200dष', 'क्\u200dष'],
      ['keeps punctuation', "Mary-Jane O'Neil \u2019Ng, Jr.", "Mary-Jane O'Neil \u2019Ng, Jr."],
    ])('%s', async (_what, given, stored) => {
      const student = await made({ givenName: given, familyName: given });
      expect(await get(student.id)).toMatchObject({ givenName: stored, familyName: stored });
    });

    it('takes a student_number of 50 code points, and tells upper from lower case', async () => {
      const number = randomUUID().slice(0, 8);
      const long = number + '🦉'.repeat(42);
      expect(await made({ studentNumber: long })).toMatchObject({ studentNumber: long });
      const lower = await made({ studentNumber: `${number}-a` });
      const upper = await made({ studentNumber: `${number}-A` });
      expect((await client.listStudents({ studentNumber: `${number}-A` })).students).toEqual([upper]);
      expect((await client.listStudents({ studentNumber: `${number}-a` })).students).toEqual([lower]);
    });

    it.each(GRADE_LEVELS)('takes grade_level %s', async (gradeLevel) => {
      const student = await made({ gradeLevel });
      expect(student.gradeLevel).toBe(gradeLevel);
    });

    it('takes all 14 disabilities and keeps their order', async () => {
      const disabilities = [14, 1, 13, 2, 12, 3, 11, 4, 10, 5, 9, 6, 8, 7] as Disability[];
      const { id } = await made({ disabilities });
      expect((await get(id)).disabilities).toEqual(disabilities);
    });

    it.each([
      ['today', '2026-03-02T00:00:00Z', '2026-03-02'],
      ['the day before the 27th birthday', '2026-03-01T23:59:59.999Z', '1999-03-02'],
      ['the last day at 26, born on a leap day', '2027-02-28T12:00:00Z', '2000-02-29'],
    ])('takes a birth_date: %s', async (_what, now, birthDate) => {
      vi.useFakeTimers({ toFake: ['Date'], now: new Date(now) });
      const student = await made({ birthDate });
      expect(student.birthDate).toBe(birthDate);
    });

    it.each(HOSTILE_TEXTS)('keeps %j as it is', async (text) => {
      const number = `${text.slice(0, 41)} ${randomUUID().slice(0, 8)}`;
      const student = await made({ studentNumber: number, givenName: text, familyName: text });
      expect(await get(student.id)).toMatchObject({ studentNumber: number, givenName: text, familyName: text });
      const found = await client.listStudents({ studentNumber: number, familyNamePrefix: text });
      expect(found.students).toEqual([student]);
      const { student: updated } = await client.updateStudent({
        student: { id: student.id, etag: student.etag, givenName: `${text} 2` },
      });
      expect(updated?.givenName).toBe(`${text} 2`);
    });
  });

  describe('a batch', () => {
    it('answers in the order of the request', async () => {
      const students = Array.from({ length: 1000 }, (_, index) => sampleStudent({ givenName: `${999 - index}` }));
      const answer = await client.batchCreateStudents({ students });
      expect(answer.students).toMatchObject(students);
      expect(new Set(answer.students.map(({ id }) => id)).size).toBe(1000);
      expect(await get(answer.students[500]!.id)).toEqual(answer.students[500]);
    });

    it('makes all or none', async () => {
      const { studentNumber } = await made();
      const rows = await countRows(database);
      const good = Array.from({ length: 20 }, () => sampleStudent());
      const refusals = await refusalsOf([
        client.batchCreateStudents({ students: [...good, sampleStudent({ studentNumber })] }),
        client.batchCreateStudents({ students: [...good, sampleStudent({ gradeLevel: '13' })] }),
      ]);
      expect(refusals).toEqual([numberTaken(studentNumber), invalid('students[20].grade_level')]);
      expect(await countRows(database)).toEqual(rows);
      expect((await client.batchCreateStudents({ students: good })).students).toHaveLength(20);
    });

    it('gives one number to one of several that ask for it at once', async () => {
      const student = sampleStudent();
      const batches = Array.from({ length: 6 }, () =>
        client.batchCreateStudents({ students: [sampleStudent(), student] }),
      );
      const single = Array.from({ length: 6 }, () => client.createStudent({ student }));
      const ends = await Promise.allSettled<unknown>([...batches, ...single]);
      const failures = ends.flatMap((end) => (end.status === 'rejected' ? [Promise.reject(end.reason)] : []));
      const refusals = await refusalsOf(failures);
      expect(refusals).toEqual(Array.from({ length: 11 }, () => numberTaken(student.studentNumber)));
    });
  });
});
