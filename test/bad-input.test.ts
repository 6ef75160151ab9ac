/** Bad input that several calls have in common. */
import { randomUUID } from 'node:crypto';
import { fromJson } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { CreateIepRequestSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals, invalid, notFound, refusalOf, refusalsOf } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';

/** Of no enum. */
const NO_SUCH_VALUE = 99;

const NOTHING = ['nothing', ''] as const;

const BAD_IDS = [
  ['a word', 'student'],
  ['the nil UUID', '00000000-0000-0000-0000-000000000000'],
  ['the max UUID', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  ['the max UUID in upper case', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'],
  ['no hyphens', '01980000000070008000000000000000'],
  ['braces', '{01980000-0000-7000-8000-000000000000}'],
  ['a URN', 'urn:uuid:01980000-0000-7000-8000-000000000000'],
  ['a letter beyond f', '0198000g-0000-7000-8000-000000000000'],
  ['a digit too many', '01980000-0000-7000-8000-0000000000000'],
  ['a leading space', ' 01980000-0000-7000-8000-000000000000'],
  ['a trailing newline', '01980000-0000-7000-8000-000000000000\n'],
  ['full-width digits', '０1980000-0000-7000-8000-000000000000'],
  ['a quote', "01980000-0000-7000-8000-00000000000'"],
] as const;

const BAD_YEARS = [
  ['two years apart', '2025-2027'],
  ['one year', '2025'],
  ['two digits', '2025-26'],
  ['backwards', '2026-2025'],
  ['the same year twice', '2025-2025'],
  ['an en dash', '2025–2026'],
  ['a slash', '2025/2026'],
  ['a leading space', ' 2025-2026'],
  ['a trailing newline', '2025-2026\n'],
  ['full-width digits', '２０２５-２０２６'],
  ['Arabic digits', '٢٠٢٥-٢٠٢٦'],
  ['a sign', '+2025-2026'],
  ['before 1990', '1989-1990'],
  ['after 2098', '2099-2100'],
] as const;

describeRefusals('bad input', (fixture) => {
  it.each([NOTHING, ...BAD_IDS])('an id that is %s is refused', async (_what, id) => {
    const { client } = fixture;
    const refusals = await refusalsOf([
      client.getStudent({ studentId: id }),
      client.updateStudent({ student: { id, etag: '*', givenName: 'Eve' } }),
      client.createIep({ studentId: id, academicYear: YEAR }),
      client.getIep({ iepId: id }),
      client.getLatestIep({ studentId: id, academicYear: YEAR }),
      client.listAuditEvents({ studentId: id }),
      client.compareIeps({ fromIepId: id, toIepId: id }),
    ]);
    expect(refusals).toEqual([
      invalid('student_id'),
      invalid('student.id'),
      invalid('student_id'),
      invalid('iep_id'),
      invalid('student_id'),
      invalid('student_id'),
      invalid('from_iep_id', 'to_iep_id'),
    ]);
  });

  it.each(BAD_IDS)('an id that is %s is refused where none is needed', async (_what, id) => {
    const { client } = fixture;
    const refusals = await refusalsOf([
      client.listIeps({ studentId: id }),
      client.listAuditEvents({ iepId: id }),
      client.getIep({ studentId: id, academicYear: YEAR, version: 1 }),
    ]);
    expect(refusals).toEqual([invalid('student_id'), invalid('iep_id'), invalid('student_id')]);
  });

  it.each(BAD_IDS)('a request_id that is %s is refused', async (_what, requestId) => {
    const { client, student, iep } = fixture;
    const fresh = { studentNumber: 'S-2', givenName: 'Eve', familyName: 'Ng' };
    const refusals = await refusalsOf([
      client.createStudent({ student: fresh, requestId }),
      client.batchCreateStudents({ students: [fresh], requestId }),
      client.updateStudent({ student: { id: student.id, etag: '*', givenName: 'Eve' }, requestId }),
      client.createIep({ studentId: student.id, academicYear: iep.academicYear, requestId }),
    ]);
    expect(refusals).toEqual(refusals.map(() => invalid('request_id')));
  });

  it('takes ids in upper case and answers them in lower case', async () => {
    const { client, student, iep } = fixture;
    const studentId = student.id.toUpperCase();
    const answers = [
      (await client.getStudent({ studentId })).student?.id,
      (await client.createIep({ studentId, academicYear: YEAR, validateOnly: true })).iep?.studentId,
      (await client.listIeps({ studentId })).ieps[0]?.studentId,
      (await client.getLatestIep({ studentId, academicYear: YEAR })).iep?.studentId,
      (await client.getIep({ iepId: iep.id.toUpperCase() })).iep?.studentId,
    ];
    expect(answers).toEqual(answers.map(() => student.id));
  });

  it('names an unknown student', async () => {
    const { client } = fixture;
    const refusals = await refusalsOf([
      client.getStudent({ studentId: UNKNOWN }),
      client.updateStudent({ student: { id: UNKNOWN, etag: '*', givenName: 'Eve' } }),
      client.createIep({ studentId: UNKNOWN, academicYear: YEAR, requestId: randomUUID() }),
      client.createIep({ studentId: UNKNOWN, academicYear: YEAR, expectedLatestVersion: 3 }),
      client.createIep({ studentId: UNKNOWN, academicYear: YEAR, validateOnly: true }),
      client.getLatestIep({ studentId: UNKNOWN, academicYear: YEAR }),
      client.listIeps({ studentId: UNKNOWN }),
      client.listIeps({ studentId: UNKNOWN, academicYear: YEAR }),
    ]);
    expect(refusals).toEqual(refusals.map(() => notFound('Student', UNKNOWN)));
  });

  it('names an unknown IEP, and an empty chain', async () => {
    const { client, student } = fixture;
    const chain = { studentId: student.id, academicYear: '2030-2031' };
    expect(await refusalOf(client.getIep({ iepId: UNKNOWN }))).toEqual(notFound('Iep', UNKNOWN));
    expect(await refusalOf(client.getLatestIep(chain))).toEqual(notFound('Iep', `${student.id}/2030-2031`));
    expect((await client.listIeps(chain)).ieps).toEqual([]);
  });

  it.each(BAD_YEARS)('an academic_year that is %s is refused', async (_what, academicYear) => {
    const { client, student } = fixture;
    const studentId = student.id;
    const refusals = await refusalsOf([
      client.createIep({ studentId, academicYear }),
      client.createIep({ studentId, academicYear, validateOnly: true }),
      client.getLatestIep({ studentId, academicYear }),
      client.listIeps({ studentId, academicYear }),
      client.listIeps({ academicYear }),
      client.getIep({ studentId, academicYear, version: 1 }),
    ]);
    expect(refusals).toEqual(refusals.map(() => invalid('academic_year')));
  });

  it('only a list goes without an academic_year', async () => {
    const { client, student, iep } = fixture;
    const studentId = student.id;
    const refusals = await refusalsOf([client.createIep({ studentId }), client.getLatestIep({ studentId })]);
    expect(refusals).toEqual([invalid('academic_year'), invalid('academic_year')]);
    expect((await client.listIeps({ studentId })).ieps).toEqual([iep]);
  });

  it.each(['1990-1991', '1999-2000', '2098-2099'])('an academic_year %s is accepted', async (academicYear) => {
    const { client, student } = fixture;
    const { iep } = await client.createIep({ studentId: student.id, academicYear, validateOnly: true });
    expect(iep).toMatchObject({ academicYear, version: 1 });
  });

  it('reports all bad fields at once', async () => {
    const { client } = fixture;
    const request = fromJson(CreateIepRequestSchema, {
      studentId: 'x',
      academicYear: '2025',
      kind: NO_SUCH_VALUE,
      content: { note: '\u0000', rate: 1 },
      goals: [{ goalKey: 'a b', domain: NO_SUCH_VALUE, measurementFrequency: NO_SUCH_VALUE, startDate: '2025-13-01' }],
      meetingDate: 'today',
      effectiveDate: '2025-02-30',
      reviewDate: '1899-12-31',
      expectedLatestVersion: -1,
      requestId: 'x',
    });
    request.content!['rate'] = Infinity;
    const { fields, ...rest } = await refusalOf(client.createIep(request));
    expect(fields?.toSorted()).toEqual([
      'academic_year',
      'content.note',
      'content.rate',
      'effective_date',
      'expected_latest_version',
      'goals[0].domain',
      'goals[0].goal_key',
      'goals[0].goal_text',
      'goals[0].measurement_frequency',
      'goals[0].start_date',
      'kind',
      'meeting_date',
      'request_id',
      'review_date',
      'student_id',
    ]);
    expect({ ...rest, fields: [] }).toEqual(invalid());
  });
});
