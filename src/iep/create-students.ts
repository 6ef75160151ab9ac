import { randomUUIDv7 } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/sql';
import type { Database } from '../persistence/database.ts';
import { Student } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { describeChange, earlierOf, findEarlier, recordChange } from './change.ts';
import { Refusal } from './errors.ts';
import { foldCase } from './fold-case.ts';

/** What a district says about a student. */
export interface StudentFields {
  readonly studentNumber: string;
  readonly givenName: string;
  readonly familyName: string;
  readonly birthDate: string | null;
  readonly gradeLevel: string | null;
  readonly disabilities: string[];
}

export interface CreateStudentsCommand {
  readonly students: readonly StudentFields[];
  readonly requestId: string | undefined;
}

/** Creates all the students or none, and answers them in order. `rpc` is the namespace of the request_id. */
export async function createStudents(
  db: Database,
  caller: Caller,
  rpc: 'CreateStudent' | 'BatchCreateStudents',
  command: CreateStudentsCommand,
): Promise<Student[]> {
  const { districtId } = caller;
  const change = describeChange(caller, rpc, command, command.students.length);
  // Copies of one request wait for each other; other creations have nothing to wait for.
  const lane = `${districtId}:${rpc}:${command.requestId ?? change.eventIds[0]}`;
  return db.unitOfWork(lane, caller, async (unit) => {
    const { em } = unit;
    const numbers = command.students.map(({ studentNumber }) => studentNumber);
    // Read before the event: when a copy of this request took the number meanwhile, its event is seen as well.
    const taken = await findTakenNumber(em, districtId, numbers);
    const earlier = earlierOf(await findEarlier(unit, [change]), change);
    if (earlier.length > 0) {
      const ids = earlier.map(({ studentId }) => studentId);
      const rows = await em.find(Student, { districtId, id: { $in: ids } });
      return ids.map((id) => rows.find((row) => row.id === id)!);
    }
    if (taken !== undefined) {
      throw new Refusal('STUDENT_NUMBER_TAKEN', { studentNumber: taken });
    }
    const now = new Date();
    return command.students.map((fields, index) => {
      const student = em.create(Student, {
        ...fields,
        ...foldedNames(fields),
        districtId,
        id: randomUUIDv7(),
        createTime: now,
        updateTime: now,
        rowVersion: 1,
      });
      recordChange(unit, change, { studentId: student.id, rowVersion: 1, time: now }, index);
      return student;
    });
  });
}

/**
 * One of the numbers that a student has. A number that is taken between this look and the insert fails on the unique key;
 * the unit of work runs again and is refused then.
 */
export async function findTakenNumber(
  em: EntityManager,
  districtId: string,
  numbers: readonly string[],
): Promise<string | undefined> {
  const [taken] = await em.find(
    Student,
    { districtId, studentNumber: { $in: [...numbers] } },
    { fields: ['studentNumber'], limit: 1, disableIdentityMap: true },
  );
  return taken?.studentNumber;
}

export function foldedNames({ givenName, familyName }: Pick<StudentFields, 'givenName' | 'familyName'>) {
  return { givenNameFolded: foldCase(givenName), familyNameFolded: foldCase(familyName) };
}
