/** Students that change. */
import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { Disability } from '../src/gen/iep/v1/student_pb.ts';
import { numberTaken, refusalOf, refusalsOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { sampleStudent } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';

const { AUTISM, DEAFNESS } = Disability;

describeOnBoth('an update of a student', (backend) => {
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ service, client } = started));

  const get = async (studentId: string) => (await client.getStudent({ studentId })).student!;
  const made = async (over: Parameters<typeof sampleStudent>[0] = {}) =>
    (await client.createStudent({ student: sampleStudent(over) })).student!;

  const full = {
    givenName: 'Ada',
    familyName: 'Ng',
    birthDate: '2015-01-02',
    gradeLevel: 'K',
    disabilities: [AUTISM],
  };

  it('changes what is filled when there is no mask', async () => {
    const student = await made(full);
    const { student: updated } = await client.updateStudent({
      student: { id: student.id, etag: student.etag, givenName: ' Eve', disabilities: [DEAFNESS, AUTISM] },
    });
    const expected = { ...student, givenName: 'Eve', disabilities: [DEAFNESS, AUTISM] };
    expect(updated).toEqual({ ...expected, etag: updated!.etag, updateTime: updated!.updateTime });
    expect(updated?.etag).not.toBe(student.etag);
    expect(await get(student.id)).toEqual(updated);
  });

  it.each<[string, string[], object]>([
    ['only what the mask names', ['grade_level'], { gradeLevel: '1' }],
    ['what the mask names to nothing', ['birth_date', 'disabilities'], { birthDate: '', disabilities: [] }],
    ['nothing twice', ['family_name', 'family_name'], { familyName: 'Wu' }],
  ])('changes %s', async (_what, paths, changes) => {
    const student = await made(full);
    const values = { id: student.id, etag: '*', givenName: 'Eve', familyName: 'Wu', gradeLevel: '1' };
    for (const writer of Object.values(clientsOf(service))) {
      const { student: updated } = await writer.updateStudent({ student: values, updateMask: { paths } });
      expect(updated).toEqual({ ...student, ...changes, etag: updated!.etag, updateTime: updated!.updateTime });
    }
  });

  it('changes everything with "*", also to nothing', async () => {
    const student = await made(full);
    const { id, etag } = student;
    const fields = { studentNumber: randomUUID(), givenName: 'Eve', familyName: 'Wu', gradeLevel: '1' };
    for (const writer of Object.values(clientsOf(service))) {
      const { student: updated } = await writer.updateStudent({
        student: { ...fields, id, etag: '*' },
        updateMask: { paths: ['*'] },
      });
      expect(updated).toMatchObject({ ...fields, id, birthDate: '', disabilities: [] });
      expect(updated?.etag).not.toBe(etag);
    }
  });

  it('is found under its new name, and no longer under the old one', async () => {
    const { id } = await made({ familyName: 'Müller-Alt' });
    await client.updateStudent({ student: { id, etag: '*', familyName: 'MÜLLER-Neu' } });
    const found = async (familyNamePrefix: string) => (await client.listStudents({ familyNamePrefix })).students;
    expect(await found('müller-n')).toMatchObject([{ id, familyName: 'MÜLLER-Neu' }]);
    expect(await found('müller-a')).toEqual([]);
  });

  it('makes a new etag each time, and takes "*" for any', async () => {
    const { id, etag } = await made();
    const etags = [etag];
    for (const sent of [etag, '*', '*']) {
      etags.push((await client.updateStudent({ student: { id, etag: sent, gradeLevel: '2' } })).student!.etag);
    }
    expect(new Set(etags).size).toBe(4);
    const { current_etag: current } = await refusalOf(client.updateStudent({ student: { id, etag, gradeLevel: '3' } }));
    expect(current).toBe(etags.at(-1));
  });

  it('is won by exactly one of those who read the same etag', async () => {
    const { id, etag } = await made();
    const calls = Array.from({ length: 20 }, (_, index) =>
      client.updateStudent({ student: { id, etag, givenName: `Ada ${index}` } }),
    );
    const ends = await Promise.allSettled(calls);
    const won = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value.student] : []));
    expect(won).toEqual([await get(id)]);
    const lost = ends.flatMap((end) => (end.status === 'rejected' ? [Promise.reject(end.reason)] : []));
    const { etag: current } = won[0]!;
    const mismatch = { code: 'Aborted', reason: 'ETAG_MISMATCH', committed: 'no', current_etag: current };
    expect(await refusalsOf(lost)).toEqual(lost.map(() => mismatch));
  });

  it('loses none of those who take any etag', async () => {
    const { id } = await made();
    await Promise.all(
      Array.from({ length: 20 }, () => client.updateStudent({ student: { id, etag: '*', gradeLevel: '7' } })),
    );
    expect((await get(id)).etag).toBe('21');
  });

  it('takes a free number, its own number, and leaves the old one to others', async () => {
    const [student, other] = [await made(), await made()];
    const change = (studentNumber: string) =>
      client.updateStudent({ student: { id: student.id, etag: '*', studentNumber } });
    expect(await refusalOf(change(other.studentNumber))).toEqual(numberTaken(other.studentNumber));
    expect((await change(student.studentNumber)).student?.studentNumber).toBe(student.studentNumber);
    await change(randomUUID());
    expect((await made({ studentNumber: student.studentNumber })).id).not.toBe(student.id);
  });

  it('ignores output-only fields', async () => {
    const student = await made();
    const output = { districtId: 'other', createTime: { seconds: 1n }, updateTime: { seconds: 2n } };
    const sent = { ...output, id: student.id, etag: student.etag, gradeLevel: '9' };
    const { student: updated } = await client.updateStudent({ student: sent });
    expect(updated).toMatchObject({ districtId: 'default', createTime: student.createTime, gradeLevel: '9' });
  });
});
