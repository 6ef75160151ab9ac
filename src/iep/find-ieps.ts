import type { Database } from '../persistence/database.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { Refusal } from './errors.ts';
import { requireStudent } from './find-students.ts';
import { findDocuments, type IepDocument, requireIep } from './iep-document.ts';

/** A version's place in its chain; without a number, that of the highest. */
export interface IepPlace {
  readonly studentId: string;
  readonly academicYear: string;
  readonly version?: number;
}

/** Reads one version by its id or by its place. */
export async function getIep(
  db: Database,
  caller: Caller,
  key: { readonly iepId: string } | IepPlace,
): Promise<IepDocument> {
  const { districtId } = caller;
  return db.read(caller, (reader) =>
    'iepId' in key ? requireIep(reader, districtId, key.iepId) : requireIepAt(reader, districtId, key),
  );
}

async function requireIepAt(reader: Reader, districtId: string, place: IepPlace): Promise<IepDocument> {
  const { studentId, academicYear, version } = place;
  const [document] = await findDocuments(
    reader,
    `where district_id = ? and student_id = ? and academic_year = ?
     ${version === undefined ? 'order by version desc limit 1' : 'and version = ?'}`,
    [districtId, studentId, academicYear, ...(version === undefined ? [] : [version])],
  );
  if (document === undefined) {
    await requireStudent(reader.em, districtId, studentId);
    throw new Refusal('IEP_NOT_FOUND', place);
  }
  return document;
}
