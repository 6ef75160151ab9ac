import type { Database } from '../persistence/database.ts';
import type { Caller } from './caller.ts';
import { requireStudent } from './find-students.ts';
import type { Place } from './district-places.ts';
import { type Anchor, requireAnchor } from './iep-anchor.ts';
import { behind, type Condition, IS_LATEST, ownConditions, where } from './iep-conditions.ts';
import { CHUNK, findDocuments, type StoredDocument } from './iep-document.ts';
import { type DistrictQuery, listDistrict } from './list-district.ts';

export interface ListIepsQuery extends DistrictQuery {
  /** Absent = the whole district. */
  readonly studentId: string | undefined;
}

/**
 * A student's versions by academic year, then version; or the district's by review_date, those without one last, then id.
 * They are fetched as they are asked for. Answers where it stopped, if that is not the end of the list.
 */
export function listIeps(
  db: Database,
  caller: Caller,
  query: ListIepsQuery,
): AsyncGenerator<StoredDocument, Place | undefined> {
  const { studentId } = query;
  return studentId === undefined ? listDistrict(db, caller, query) : listStudent(db, caller, { ...query, studentId });
}

async function* listStudent(
  db: Database,
  caller: Caller,
  query: ListIepsQuery & { studentId: string },
): AsyncGenerator<StoredDocument, undefined> {
  const { districtId } = caller;
  const { studentId, latestOnly, after } = query;
  let last: Pick<Anchor, 'academicYear' | 'version'> | undefined = await db.read(caller, async (reader) => {
    await requireStudent(reader.em, districtId, studentId);
    return after && requireAnchor(reader, districtId, after.id, ['student_id = ?', studentId]);
  });
  const conditions: Condition[] = [
    ...ownConditions(districtId, query),
    ['student_id = ?', studentId],
    ...(latestOnly ? [[IS_LATEST] as const] : []),
  ];
  // A chain that has got another version since the last page was listed already.
  const order = latestOnly ? ['academic_year'] : ['academic_year', 'version'];
  let left = query.limit;
  for (let full = true; full && left > 0;) {
    const limit = Math.min(CHUNK, left);
    const following = last ? [behind(order, latestOnly ? [last.academicYear] : [last.academicYear, last.version])] : [];
    const [clause, ...params] = where([...conditions, ...following]);
    const documents = await db.read(caller, (reader) =>
      findDocuments(reader, `${clause} order by ${order.join(', ')} limit ${limit}`, params),
    );
    yield* documents;
    last = documents.at(-1)?.iep;
    left -= documents.length;
    full = documents.length === limit;
  }
}
