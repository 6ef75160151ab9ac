/** Page tokens and page sizes of both lists. */
import { beforeAll, expect, it } from 'vitest';
import { invalid, refusalOf, refusalsOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { newIep, newStudent, sampleStudent, YEAR } from './support/samples.ts';
import { type IepClient } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';

const STUDENTS = 1203;

describeOnBoth('pages', (backend) => {
  let client: IepClient;
  let studentId: string;
  let studentsToken: string;
  let iepsToken: string;

  startForSuite(backend, (started) => ({ client } = started));
  beforeAll(async () => {
    studentId = await newStudent(client);
    for (const academicYear of [YEAR, YEAR, '2026-2027']) {
      await newIep(client, studentId, academicYear);
    }
    const students = Array.from({ length: STUDENTS - 1 }, (_, index) =>
      sampleStudent({ familyName: index % 2 ? 'Odd' : 'Even', gradeLevel: '3' }),
    );
    await client.batchCreateStudents({ students: students.slice(0, 1000) });
    await client.batchCreateStudents({ students: students.slice(1000) });
    studentsToken = (await client.listStudents({ pageSize: 1 })).nextPageToken;
    iepsToken = (await client.listIeps({ studentId, pageSize: 1 })).nextPageToken;
  });

  it.each([-1, -(2 ** 31)])('refuses page_size %i', async (pageSize) => {
    const refusals = await refusalsOf([client.listStudents({ pageSize }), client.listIeps({ studentId, pageSize })]);
    expect(refusals).toEqual([invalid('page_size'), invalid('page_size')]);
  });

  it.each([
    [0, 50],
    [1, 1],
    [1000, 1000],
    [1001, 1000],
    [2 ** 31 - 1, 1000],
  ])('takes page_size %i for %i', async (pageSize, count) => {
    const { students, nextPageToken } = await client.listStudents({ pageSize });
    expect(students).toHaveLength(count);
    expect(nextPageToken).not.toBe('');
  });

  it('reads every student once, whatever the sizes of the pages', async () => {
    const sizes = [1, 7, 500, 0, 1000];
    const ids = [];
    let pageToken = '';
    do {
      const page = await client.listStudents({ pageToken, pageSize: sizes.shift() ?? 1000 });
      ids.push(...page.students.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(ids).toHaveLength(STUDENTS);
    expect(new Set(ids).size).toBe(STUDENTS);
  });

  it('reads every version once, and says when there are no more', async () => {
    const places = [];
    let pageToken = '';
    do {
      const page = await client.listIeps({ studentId, pageToken, pageSize: pageToken === '' ? 1 : 2 });
      places.push(...page.ieps.map(({ academicYear, version }) => `${academicYear}/${version}`));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(places).toEqual(['2025-2026/1', '2025-2026/2', '2026-2027/1']);
    expect((await client.listIeps({ studentId, pageSize: 3 })).nextPageToken).toBe('');
  });

  it('goes on after what is there now, not after a number of rows', async () => {
    const filter = { familyNamePrefix: 'Zz' };
    const add = async (...givenNames: string[]) => {
      const students = givenNames.map((givenName) => sampleStudent({ familyName: 'Zz', givenName }));
      await client.batchCreateStudents({ students });
    };
    await add('B', 'D');
    const first = await client.listStudents({ ...filter, pageSize: 1 });
    await add('A', 'C');
    const rest = await client.listStudents({ ...filter, pageToken: first.nextPageToken });
    expect([...first.students, ...rest.students].map(({ givenName }) => givenName)).toEqual(['B', 'C', 'D']);
  });

  it('says so when it cannot tell any more where it was among the students', async () => {
    const filter = { familyNamePrefix: 'Yy' };
    const students = ['A', 'B', 'C'].map((givenName) => sampleStudent({ familyName: 'Yy', givenName }));
    await client.batchCreateStudents({ students });
    const page = await client.listStudents({ ...filter, pageSize: 2 });
    const [first, last] = page.students.map(({ id }) => ({ id, etag: '*' }));
    const rest = async () => {
      const { students: found } = await client.listStudents({ ...filter, pageToken: page.nextPageToken });
      return found.map(({ givenName }) => givenName);
    };
    // What does not move the last student of the page does no harm.
    await client.updateStudent({ student: { ...last!, givenName: 'b', gradeLevel: '4' } });
    await client.updateStudent({ student: { ...first!, givenName: 'D' } });
    expect(await rest()).toEqual(['C', 'D']);
    for (const name of [{ givenName: 'Ba' }, { givenName: 'y', familyName: 'yB' }]) {
      await client.updateStudent({ student: { ...last!, ...name } });
      expect(await refusalOf(rest())).toEqual(invalid('page_token'));
    }
    await client.updateStudent({ student: { ...last!, familyName: 'YY', givenName: 'B' } });
    expect(await rest()).toEqual(['C', 'D']);
  });

  it('refuses a token of another call', async () => {
    const other = await newStudent(client);
    const refusals = await refusalsOf([
      client.listStudents({ pageToken: iepsToken }),
      client.listStudents({ pageToken: studentsToken, gradeLevel: '3' }),
      client.listStudents({ pageToken: studentsToken, studentNumber: 'S-1' }),
      client.listStudents({ pageToken: studentsToken, familyNamePrefix: 'O' }),
      client.listStudents({ pageToken: studentsToken, disability: 1 }),
      client.listIeps({ studentId, pageToken: studentsToken }),
      client.listIeps({ studentId, academicYear: YEAR, pageToken: iepsToken }),
      client.listIeps({ studentId: other, pageToken: iepsToken }),
    ]);
    expect(refusals).toEqual(refusals.map(() => invalid('page_token')));
  });

  it('takes a token with the same filters, written in another way', async () => {
    const { nextPageToken: pageToken } = await client.listStudents({ familyNamePrefix: 'Odd', pageSize: 1 });
    expect((await client.listStudents({ familyNamePrefix: ' Odd', pageToken, pageSize: 2 })).students).toHaveLength(2);
    const ieps = client.listIeps({ studentId: studentId.toUpperCase(), pageToken: iepsToken });
    await expect(ieps).resolves.toMatchObject({ ieps: [{ version: 2 }, { version: 1 }] });
  });

  it('refuses garbage', async () => {
    const cut = studentsToken.slice(0, -1);
    const anotherId = Buffer.from(studentsToken, 'base64url').fill(7, 0, 1).toString('base64url');
    const tokens = ['x', '*', ' ', cut, `${studentsToken}A`, `${studentsToken}=`, `${studentsToken}\n`, anotherId];
    const refusals = await refusalsOf(tokens.map((pageToken) => client.listStudents({ pageToken })));
    expect(refusals).toEqual(tokens.map(() => invalid('page_token')));
    const flipped = Buffer.from(iepsToken, 'base64url').fill(7, 0, 1).toString('base64url');
    expect(await refusalOf(client.listIeps({ studentId, pageToken: flipped }))).toEqual(invalid('page_token'));
  });

  it('reports a bad token together with other bad fields', async () => {
    const { fields } = await refusalOf(
      client.listIeps({ studentId, academicYear: '2025', pageSize: -1, pageToken: 'x' }),
    );
    expect(fields?.toSorted()).toEqual(['academic_year', 'page_size', 'page_token']);
  });

  it('has no names in a token', async () => {
    const { nextPageToken } = await client.listStudents({ familyNamePrefix: 'Odd', pageSize: 1 });
    expect(Buffer.from(nextPageToken, 'base64url').toString('latin1')).not.toMatch(/odd|ada/i);
    expect(nextPageToken.length).toBeLessThan(64);
  });
});
