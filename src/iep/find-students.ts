import { raw } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/sql';
import type { Database } from '../persistence/database.ts';
import { Student } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { invalidField, Refusal } from './errors.ts';
import { foldCase, prefixEnd } from './fold-case.ts';

/** Reads one student; STUDENT_NOT_FOUND when the district has none with this id. */
export async function requireStudent(em: EntityManager, districtId: string, studentId: string): Promise<Student> {
  const student = await em.findOne(Student, { districtId, id: studentId });
  if (student === null) {
    throw new Refusal('STUDENT_NOT_FOUND', { studentId });
  }
  return student;
}

export async function getStudent(db: Database, caller: Caller, studentId: string): Promise<Student> {
  return db.read(caller, ({ em }) => requireStudent(em, caller.districtId, studentId));
}

export interface ListStudentsQuery {
  readonly studentNumber: string | undefined;
  readonly gradeLevel: string | undefined;
  readonly disability: string | undefined;
  readonly familyNamePrefix: string | undefined;
  /** Begin after the student with this id, where `isAt` knows the names that they had then. */
  readonly after: { readonly id: string; readonly isAt: (names: readonly string[]) => boolean } | undefined;
  readonly limit: number;
}

/** The district's students by family name, given name (both without regard to case) and id. */
export async function listStudents(db: Database, caller: Caller, query: ListStudentsQuery): Promise<Student[]> {
  const { districtId } = caller;
  const { studentNumber, gradeLevel, disability, familyNamePrefix, after, limit } = query;
  return db.read(caller, async ({ em, sql }) => {
    const where = {
      districtId,
      ...(studentNumber !== undefined && { studentNumber }),
      ...(gradeLevel !== undefined && { gradeLevel }),
      ...(disability !== undefined && { [raw(sql.includes('disabilities'), [disability])]: [] }),
      ...(familyNamePrefix !== undefined && { familyNameFolded: startsWith(foldCase(familyNamePrefix)) }),
      ...(after !== undefined && (await following(em, districtId, after))),
    };
    const orderBy = { familyNameFolded: 'asc', givenNameFolded: 'asc', id: 'asc' } as const;
    return em.find(Student, where, { orderBy, limit });
  });
}

/** A range, which an index serves; `like` under row-level security reads the whole table. */
function startsWith(prefix: string) {
  const end = prefixEnd(prefix);
  return end === undefined ? { $gte: prefix } : { $gte: prefix, $lt: end };
}

/** What the list goes by, before the id. */
export function namesOf({ familyNameFolded, givenNameFolded }: Student): string[] {
  return [familyNameFolded, givenNameFolded];
}

async function following(em: EntityManager, districtId: string, after: NonNullable<ListStudentsQuery['after']>) {
  const anchor = await em.findOne(Student, { districtId, id: after.id });
  if (anchor === null) {
    throw invalidField('page_token', 'is no token of this list; start again without one');
  }
  if (!after.isAt(namesOf(anchor))) {
    throw invalidField('page_token', 'ends at a student whose name was changed since; start again without one');
  }
  const place = [...namesOf(anchor), anchor.id];
  return { [raw('(family_name_folded, given_name_folded, id) > (?, ?, ?)', place)]: [] };
}
