/** Lists of students: their order and their filters. */
import { beforeAll, expect, it } from 'vitest';
import { Disability } from '../src/gen/iep/v1/student_pb.ts';
import { invalid, refusalOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { sampleStudent } from './support/samples.ts';
import { type IepClient } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';

/** In the order of a list. */
const NAMES = [
  ['%', 'Percent'],
  ['adams', 'Zed'],
  ['Adams-Ng', 'Amy'],
  ['baker', 'amy'],
  ['Baker', 'Bob'],
  ['bAKER', 'CARL'],
  ['ﬁnch', 'Latin ligature'],
  ['Strasse', 'A'],
  ['Straße', 'b'],
  ['STRASSE', 'C'],
  ['Zorn', 'Ed'],
  ['_', 'Underscore'],
  ['Élan', 'Ada'],
  ['élan', 'Bea'],
  ['E\u0301LAN', 'Cid'],
  ['Øre', 'Ib'],
  ['Σίσυφος', 'α'],
  ['ΣΊΣΥΦΟΣ', 'Β'],
  // Code points decide, not the halves of a pair: an owl is made of U+D83E and U+DD89.
  ['\ue000A', 'Private'],
  ['🦉', 'Owl'],
] as const;

describeOnBoth('a list of students', (backend) => {
  let client: IepClient;

  startForSuite(backend, (started) => ({ client } = started));
  beforeAll(async () => {
    const students = NAMES.map(([familyName, givenName], index) =>
      sampleStudent({
        familyName,
        givenName,
        studentNumber: `S-${index}`,
        gradeLevel: index % 2 ? 'K' : '12',
        disabilities: index % 3 ? [Disability.DEAFNESS, Disability.AUTISM] : [Disability.DEAFNESS],
      }),
    );
    await client.batchCreateStudents({ students: students.toReversed() });
  });

  const numbers = async (filter: Parameters<IepClient['listStudents']>[0]) =>
    (await client.listStudents(filter)).students.map(({ studentNumber }) => Number(studentNumber.slice(2)));

  it('goes by family name, then given name, without regard to case', async () => {
    expect(await numbers({})).toEqual(NAMES.map((_, index) => index));
  });

  it('goes by id where names are the same', async () => {
    const students = Array.from({ length: 30 }, () => sampleStudent({ familyName: 'Same', givenName: 'Name' }));
    await client.batchCreateStudents({ students });
    const list = await client.listStudents({ familyNamePrefix: 'Same' });
    const ids = list.students.map(({ id }) => id);
    expect(ids).toHaveLength(30);
    expect(ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)));
  });

  it.each([
    ['baker', 'Baker', 'baker', 'bAKER'],
    ['ADAMS', 'adams', 'Adams-Ng'],
    ['é', 'Élan', 'élan', 'E\u0301LAN'],
    ['E\u0301l', 'Élan', 'élan', 'E\u0301LAN'],
    ['e'],
    ['strass', 'Straße', 'Strasse', 'STRASSE'],
    ['straß', 'Straße', 'Strasse', 'STRASSE'],
    ['σίσυφος', 'Σίσυφος', 'ΣΊΣΥΦΟΣ'],
    ['ς', 'Σίσυφος', 'ΣΊΣΥΦΟΣ'],
    ['ø', 'Øre'],
    ['%', '%'],
    ['_', '_'],
    ['🦉', '🦉'],
    ['\u{10ffff}'],
    ['\ud7ff'],
    ["'"],
    ['bakerx'],
  ])('with the prefix %j', async (familyNamePrefix, ...familyNames) => {
    const { students } = await client.listStudents({ familyNamePrefix });
    const found = students.map(({ familyName }) => familyName);
    expect(found.toSorted()).toEqual(familyNames.map((name) => name.normalize('NFC')).toSorted());
  });

  const all = NAMES.map((_, index) => index);
  it.each([
    ['student_number', { studentNumber: 'S-4' }, [4]],
    ['student_number in another case', { studentNumber: 's-4' }, []],
    ['grade_level', { gradeLevel: 'K' }, all.filter((index) => index % 2 === 1)],
    ['grade_level that nobody has', { gradeLevel: 'PK' }, []],
    ['a disability, primary or not', { disability: Disability.AUTISM }, all.filter((index) => index % 3 > 0)],
    ['a disability that nobody has', { disability: Disability.DEAF_BLINDNESS }, []],
    ['all of them', { gradeLevel: 'K', disability: Disability.AUTISM, familyNamePrefix: 'bak' }, [5]],
    ['the part of a disability name', { disability: Disability.DEAFNESS, familyNamePrefix: 'Z' }, [10]],
  ])('filtered by %s', async (_what, filter, expected) => {
    const found = await numbers({ pageSize: 1000, ...filter });
    expect(found.filter(Number.isInteger).toSorted((a, b) => a - b)).toEqual(expected);
  });

  it('refuses filters that no student can match', async () => {
    const filter = { studentNumber: 'x'.repeat(51), gradeLevel: 'X', familyNamePrefix: 'a\u0000' };
    const { fields } = await refusalOf(client.listStudents(filter));
    expect(fields?.toSorted()).toEqual(['family_name_prefix', 'grade_level', 'student_number']);
    const long = client.listStudents({ familyNamePrefix: 'x'.repeat(101) });
    expect(await refusalOf(long)).toEqual(invalid('family_name_prefix'));
  });
});
