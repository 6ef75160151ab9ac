import type { Database } from '../persistence/database.ts';
import type { Student } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { describeChange, earlierOf, findEarlier, recordChange } from './change.ts';
import { findTakenNumber, foldedNames, type StudentFields } from './create-students.ts';
import { Refusal } from './errors.ts';
import { requireEtag } from './etag.ts';
import { requireStudent } from './find-students.ts';

export interface UpdateStudentCommand {
  readonly studentId: string;
  readonly etag: string;
  /** New values of the fields to change. */
  readonly fields: Partial<StudentFields>;
  /** Names of those fields in the contract. */
  readonly changedPaths: string[];
  readonly requestId: string | undefined;
}

/** Changes a student, if it is still in the state that the etag stands for. */
export async function updateStudent(db: Database, caller: Caller, command: UpdateStudentCommand): Promise<Student> {
  const { districtId } = caller;
  const { studentId, fields, changedPaths } = command;
  const change = describeChange(caller, 'UpdateStudent', command);
  return db.unitOfWork(`${districtId}:${studentId}`, caller, async (unit) => {
    const now = await unit.lockStudent(districtId, studentId);
    const [earlier] = earlierOf(await findEarlier(unit, [change]), change);
    const student = await requireStudent(unit.em, districtId, studentId);
    if (earlier !== undefined) {
      return student;
    }
    requireEtag(student, command.etag);
    if (fields.studentNumber !== undefined && fields.studentNumber !== student.studentNumber) {
      const taken = await findTakenNumber(unit.em, districtId, [fields.studentNumber]);
      if (taken !== undefined) {
        throw new Refusal('STUDENT_NUMBER_TAKEN', { studentNumber: taken });
      }
    }
    Object.assign(student, fields);
    Object.assign(student, foldedNames(student), {
      updateTime: now > student.updateTime ? now : student.updateTime,
      rowVersion: student.rowVersion + 1,
    });
    recordChange(unit, change, {
      studentId,
      rowVersion: student.rowVersion,
      changedPaths,
      time: student.updateTime,
    });
    return student;
  });
}
