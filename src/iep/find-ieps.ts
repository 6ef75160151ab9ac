import { Iep } from '../persistence/entities.ts';
import type { Database } from '../persistence/database.ts';
import type { Caller } from './caller.ts';
import { invalidField, Refusal } from './errors.ts';
import { requireStudent } from './find-students.ts';
import { findDocuments, type IepDocument, requireIep } from './iep-document.ts';

/** Documents fetched at a time while a list is read: each may be megabytes large. */
const CHUNK = 25;

export async function getIep(db: Database, caller: Caller, iepId: string): Promise<IepDocument> {
  return db.read(caller, (reader) => requireIep(reader, caller.districtId, iepId));
}

/** The highest version of a chain. */
export async function getLatestIep(
  db: Database,
  caller: Caller,
  { studentId, academicYear }: { studentId: string; academicYear: string },
): Promise<IepDocument> {
  const { districtId } = caller;
  return db.read(caller, async (reader) => {
    const [latest] = await findDocuments(
      reader,
      'where district_id = ? and student_id = ? and academic_year = ? order by version desc limit 1',
      [districtId, studentId, academicYear],
    );
    if (latest === undefined) {
      await requireStudent(reader.em, districtId, studentId);
      throw new Refusal('IEP_NOT_FOUND', { studentId, academicYear });
    }
    return latest;
  });
}

export interface ListIepsQuery {
  readonly studentId: string;
  readonly academicYear: string | undefined;
  /** Begin after the version with this id. */
  readonly after: string | undefined;
}

/** A student's versions by academic year, then version, fetched as they are asked for. */
export async function* listIeps(db: Database, caller: Caller, query: ListIepsQuery): AsyncGenerator<IepDocument> {
  const { districtId } = caller;
  const { studentId, academicYear } = query;
  const chain = { districtId, studentId, ...(academicYear !== undefined && { academicYear }) };
  let last = await db.read(caller, async ({ em }) => {
    await requireStudent(em, districtId, studentId);
    if (query.after === undefined) {
      return null;
    }
    const anchor = await em.findOne(Iep, { ...chain, id: query.after }, { fields: ['academicYear', 'version'] });
    if (anchor === null) {
      throw invalidField('page_token', 'is no token of this list; start again without one');
    }
    return { academicYear: anchor.academicYear, version: anchor.version };
  });
  for (;;) {
    const conditions = ['district_id = ?', 'student_id = ?'];
    const params: unknown[] = [districtId, studentId];
    if (academicYear !== undefined) {
      conditions.push('academic_year = ?');
      params.push(academicYear);
    }
    if (last !== null) {
      conditions.push('(academic_year, version) > (?, ?)');
      params.push(last.academicYear, last.version);
    }
    const clause = `where ${conditions.join(' and ')} order by academic_year, version limit ${CHUNK}`;
    const documents = await db.read(caller, (reader) => findDocuments(reader, clause, params));
    yield* documents;
    last = documents.at(-1)?.iep ?? null;
    if (documents.length < CHUNK) {
      return;
    }
  }
}
