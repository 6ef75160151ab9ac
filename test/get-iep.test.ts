/** One version, by its id or by its place in its chain. */
import { describe, expect, it } from 'vitest';
import { describeRefusals, invalid, notFound, refusalOf, refusalsOf } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';

describeRefusals('reading one version', (fixture) => {
  const place = () => ({ studentId: fixture.student.id, academicYear: YEAR, version: 1 });

  it('takes its id or its place', async () => {
    const { client, iep } = fixture;
    expect((await client.getIep({ iepId: iep.id })).iep).toEqual(iep);
    expect((await client.getIep(place())).iep).toEqual(iep);
    expect((await client.getIep({ ...place(), studentId: fixture.student.id.toUpperCase() })).iep).toEqual(iep);
  });

  it('names what there is not', async () => {
    const { client, student } = fixture;
    const refusals = await refusalsOf([
      client.getIep({ ...place(), studentId: UNKNOWN }),
      client.getIep({ ...place(), version: 2 }),
      client.getIep({ ...place(), version: 2 ** 31 - 1 }),
      client.getIep({ ...place(), academicYear: '2030-2031' }),
    ]);
    expect(refusals).toEqual([
      notFound('Student', UNKNOWN),
      notFound('Iep', `${student.id}/${YEAR}/2`),
      notFound('Iep', `${student.id}/${YEAR}/${2 ** 31 - 1}`),
      notFound('Iep', `${student.id}/2030-2031/1`),
    ]);
  });

  describe('is refused', () => {
    it('without either', async () => {
      expect(await refusalOf(fixture.client.getIep({}))).toEqual(invalid('iep_id'));
    });

    it('with parts of both', async () => {
      const { client, iep } = fixture;
      const iepId = iep.id;
      const refusals = await refusalsOf([
        client.getIep({ iepId, ...place() }),
        client.getIep({ iepId, version: 1 }),
        client.getIep({ iepId, version: -1 }),
        client.getIep({ iepId, academicYear: 'x' }),
        client.getIep({ iepId: 'x', studentId: 'y' }),
      ]);
      expect(refusals).toEqual([
        invalid('student_id', 'academic_year', 'version'),
        invalid('version'),
        invalid('version'),
        invalid('academic_year'),
        invalid('student_id', 'iep_id'),
      ]);
    });

    it('with a part of a place, or a bad one', async () => {
      const { client } = fixture;
      const { studentId, academicYear } = place();
      const refusals = await refusalsOf([
        client.getIep({ studentId }),
        client.getIep({ academicYear }),
        client.getIep({ version: 1 }),
        client.getIep({ studentId, academicYear }),
        client.getIep({ ...place(), version: -1 }),
        client.getIep({ studentId: 'x', academicYear: '2025', version: -(2 ** 31) }),
      ]);
      const fields = refusals.map((refusal) => refusal.fields?.toSorted());
      expect(fields).toEqual([
        ['academic_year', 'version'],
        ['student_id', 'version'],
        ['academic_year', 'student_id'],
        ['version'],
        ['version'],
        ['academic_year', 'student_id', 'version'],
      ]);
    });
  });
});
