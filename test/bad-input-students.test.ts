/** Students that are refused, and updates of them. */
import { create, fromJson, type MessageInitShape } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { Disability, StudentSchema } from '../src/gen/iep/v1/student_pb.ts';
import { describeRefusals, invalid, malformed, numberTaken, refusalOf, refusalsOf } from './support/refusal.ts';
import { sampleStudent } from './support/samples.ts';
import { failureOf } from './support/service.ts';
import { jsonSender } from './support/wire.ts';

type StudentInit = MessageInitShape<typeof StudentSchema>;

const OWL = '🦉';

/** Texts that are refused as a name and as a number. */
const BAD_TEXTS: [string, string][] = [
  ['nothing', ''],
  ['white space', ' \t\n\u00a0\u3000'],
  ['invisible characters', '\u200b\u200d\u2060'],
  ['a Hangul filler', '\u3164'],
  ['a blank Braille pattern', '\u2800'],
  ['NUL', 'A\u0000da'],
  ['a tab', 'A\tda'],
  ['a newline', 'A\nda'],
  ['a C1 control', 'A\u0085da'],
  ['DEL', 'A\u007fda'],
  ['an override of direction', 'A\u202eda'],
  ['an isolate of direction', 'A\u2067da'],
  ['a mark of direction', 'A\u200fda'],
];

const ALL_DISABILITIES = Object.values(Disability).filter((value) => typeof value === 'number' && value > 0);
const SOME_DISABILITY = Disability.AUTISM;

describeRefusals('bad students', (fixture) => {
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
  });

  const refusalOfStudent = (fields: StudentInit) =>
    refusalOf(fixture.client.createStudent({ student: sampleStudent(fields) }));

  describe.each(['givenName', 'familyName', 'studentNumber'] as const)('%s', (name) => {
    const path = StudentSchema.fields.find(({ localName }) => localName === name)!.name;
    const max = name === 'studentNumber' ? 50 : 100;

    it.each([
      ...BAD_TEXTS,
      ['too long', 'x'.repeat(max + 1)],
      ['too long in characters beyond 16 bits', OWL.repeat(max + 1)],
      ['far too long', 'x'.repeat(1_000_000)],
    ])('refuses %s', async (_what, text) => {
      const { client, student } = fixture;
      const bad = sampleStudent({ [name]: text });
      const refusals = await refusalsOf([
        client.createStudent({ student: bad }),
        client.batchCreateStudents({ students: [sampleStudent(), bad] }),
        client.updateStudent({
          student: { [name]: text, id: student.id, etag: student.etag },
          updateMask: { paths: [path] },
        }),
      ]);
      expect(refusals).toEqual([
        invalid(`student.${path}`),
        invalid(`students[1].${path}`),
        invalid(`student.${path}`),
      ]);
    });

    it('refuses a lone surrogate in JSON', async () => {
      const json = JSON.stringify({ student: sampleStudent({ [name]: 'A\ud800' }) });
      const call = jsonSender(fixture.service)(IEPService.method.createStudent, Buffer.from(json));
      expect(await refusalOf(call)).toEqual(malformed);
    });
  });

  it.each(['2025-02-30', '2025-2-3', '20250203', '2025-02-03T00:00:00Z', '1899-12-31', '2200-01-01', '٢٠١٥-٠١-٠١'])(
    'refuses %s as a birth_date',
    async (birthDate) => expect(await refusalOfStudent({ birthDate })).toEqual(invalid('student.birth_date')),
  );

  it.each([
    ['lies in the future', '2026-03-02T00:00:00Z', '2026-03-03'],
    ['lies in the future in UTC', '2026-03-02T23:59:59.999Z', '2026-03-03'],
    ['makes 27 today', '2026-03-02T00:00:00Z', '1999-03-02'],
    ['makes 27 today, born on a leap day', '2027-03-01T00:00:00Z', '2000-02-29'],
    ['made 27 long ago', '2026-03-02T00:00:00Z', '1950-01-01'],
  ])('refuses a birth_date that %s', async (_what, now, birthDate) => {
    // Today is the UTC date, wherever the service runs.
    vi.stubEnv('TZ', 'Pacific/Kiritimati');
    vi.useFakeTimers({ toFake: ['Date'], now: new Date(now) });
    expect(await refusalOfStudent({ birthDate })).toEqual(invalid('student.birth_date'));
  });

  it.each(['0', '13', 'k', 'pk', '01', '1 2', 'KG', 'AGE-OUT', 'Kindergarten'])(
    'refuses grade_level %j',
    async (gradeLevel) => {
      expect(await refusalOfStudent({ gradeLevel })).toEqual(invalid('student.grade_level'));
      expect(await refusalOf(fixture.client.listStudents({ gradeLevel }))).toEqual(invalid('grade_level'));
    },
  );

  it.each<[string, Disability[], ...string[]]>([
    ['one twice', [1, 2, 1], '[2]'],
    ['UNSPECIFIED', [1, 0], '[1]'],
    ['UNSPECIFIED twice', [0, 0], '[0]', '[1]'],
    ['more than 14', [...ALL_DISABILITIES, SOME_DISABILITY], ''],
  ])('refuses %s among the disabilities', async (_what, disabilities, ...paths) => {
    expect(await refusalOfStudent({ disabilities })).toEqual(
      invalid(...paths.map((path) => `student.disabilities${path}`)),
    );
  });

  it('refuses a disability that there is not', async () => {
    const { disabilities } = fromJson(StudentSchema, { disabilities: [1, 15] });
    const student = sampleStudent({ disabilities });
    expect(await refusalOf(fixture.client.createStudent({ student }))).toEqual(invalid('student.disabilities[1]'));
  });

  it('reports what is missing', async () => {
    const { client } = fixture;
    const required = ['student.student_number', 'student.given_name', 'student.family_name'];
    expect(await refusalOf(client.createStudent({}))).toEqual(invalid('student'));
    expect(await refusalOf(client.createStudent({ student: {} }))).toEqual(invalid(...required));
    expect(await refusalOf(client.updateStudent({}))).toEqual(invalid('student'));
  });

  it('refuses an empty batch and one of more than 1,000', async () => {
    const { client } = fixture;
    const students = Array.from({ length: 1001 }, () => sampleStudent());
    expect(await refusalOf(client.batchCreateStudents({}))).toEqual(invalid('students'));
    expect(await refusalOf(client.batchCreateStudents({ students }))).toEqual(invalid('students'));
  });

  it('refuses a number twice in one batch, even when it is written in two ways', async () => {
    const numbers = ['\u00c9-1', 'S-2', ' E\u0301-1', 'S-2', '\u00c9-1'];
    const students = numbers.map((studentNumber) => sampleStudent({ studentNumber }));
    expect(await refusalOf(fixture.client.batchCreateStudents({ students }))).toEqual(
      invalid('students[2].student_number', 'students[3].student_number', 'students[4].student_number'),
    );
  });

  it('lists 20 bad fields and counts the rest', async () => {
    const students = Array.from({ length: 1000 }, () => ({}));
    const error = await failureOf(fixture.client.batchCreateStudents({ students }));
    const { fields } = await refusalOf(Promise.reject(error));
    expect(fields).toHaveLength(20);
    expect(error.rawMessage).toContain('2980');
  });

  it('names the student_number that is taken', async () => {
    const { client, student } = fixture;
    const { studentNumber, id, etag } = student;
    const same = sampleStudent({ studentNumber: ` ${studentNumber} ` });
    const refusals = await refusalsOf([
      client.createStudent({ student: same }),
      client.batchCreateStudents({ students: [sampleStudent(), same, sampleStudent()] }),
    ]);
    expect(refusals).toEqual([numberTaken(studentNumber), numberTaken(studentNumber)]);
    // Its own number is not taken for the student itself, but then there is nothing wrong.
    const stale = client.updateStudent({ student: { id, etag: `${etag}0`, studentNumber } });
    expect(await refusalOf(stale)).toMatchObject({ reason: 'ETAG_MISMATCH' });
  });

  it.each([
    ['an unknown path', ['given_name', 'nickname']],
    ['an output-only path', ['create_time']],
    ['the id', ['id']],
    ['the etag', ['etag']],
    ['the district', ['district_id']],
    ['a path from the request down', ['student.given_name']],
    ['a name of JSON', ['givenName']],
    ['an empty path', ['']],
  ])('refuses %s in update_mask', async (_what, paths) => {
    const { id, etag } = fixture.student;
    const call = fixture.client.updateStudent({ student: { id, etag, givenName: 'Eve' }, updateMask: { paths } });
    expect(await refusalOf(call)).toEqual(invalid('update_mask'));
  });

  it('refuses "*" when a required field is empty, and an update of nothing', async () => {
    const { client, student } = fixture;
    const { id, etag } = student;
    const all = client.updateStudent({ student: { id, etag, givenName: 'Eve' }, updateMask: { paths: ['*'] } });
    expect(await refusalOf(all)).toEqual(invalid('student.student_number', 'student.family_name'));
    expect(await refusalOf(client.updateStudent({ student: { id, etag } }))).toEqual(invalid('update_mask'));
  });

  it('refuses a missing etag, and one of another state', async () => {
    const { client, student } = fixture;
    const update = (etag: string) =>
      client.updateStudent({ student: create(StudentSchema, { id: student.id, etag, givenName: 'Eve' }) });
    expect(await refusalOf(update(''))).toEqual(invalid('student.etag'));
    const mismatch = { code: 'Aborted', reason: 'ETAG_MISMATCH', committed: 'no', current_etag: student.etag };
    expect(await refusalsOf([update('0'), update(`${student.etag} `), update('**')])).toEqual([
      mismatch,
      mismatch,
      mismatch,
    ]);
  });
});
