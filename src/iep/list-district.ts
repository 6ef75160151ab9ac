import type { Database } from '../persistence/database.ts';
import type { Caller } from './caller.ts';
import { invalidField } from './errors.ts';
import { type Place, placesAfter, stretchesAfter, UNDATED } from './district-places.ts';
import { requireAnchor } from './iep-anchor.ts';
import type { Condition, IepFilters } from './iep-conditions.ts';
import { CHUNK, findIeps, type StoredDocument } from './iep-document.ts';

export interface DistrictQuery extends IepFilters {
  /** Begin after the version with this id, where `isAt` knows the review_date that it had then. */
  readonly after: { readonly id: string; readonly isAt: (reviewDate: string) => boolean } | undefined;
  /** The most versions that are asked for. */
  readonly limit: number;
}

/**
 * Where only some places may be listed, a statement looks at so many, as the planner would rather sort than go through many
 * in order; and a call at so many, or a few more, and then stops, however few of them may be listed.
 */
const MOST_PLACES = { statement: 1000, call: 10_000 };

/**
 * The district's versions by review_date, those without one last, then id. First their places are read, which an index
 * gives without the documents, then the documents, as they are asked for. Answers where it stopped, if not at the end.
 */
export async function* listDistrict(
  db: Pick<Database, 'read'>,
  caller: Caller,
  query: DistrictQuery,
): AsyncGenerator<StoredDocument, Place | undefined> {
  const start = await findStart(db, caller, query);
  const find = ([sql, ...params]: Condition) => db.read(caller, ({ em }) => em.execute<Place[]>(sql, params));
  let left = query.limit;
  let looked = 0;
  for (const stretch of stretchesAfter(start, query)) {
    let last = start !== undefined && (start.reviewDate === null) === (stretch === UNDATED) ? start : undefined;
    for (let more = true; more && left > 0;) {
      const reach = query.latestOnly ? MOST_PLACES.statement : left;
      const following = placesAfter(caller.districtId, query, stretch, last, reach);
      const places = await find(following.listed(left));
      const isFull = places.length === left;
      for (let index = 0; index < places.length; index += CHUNK) {
        const documents = await findAt(db, caller, query, places.slice(index, index + CHUNK));
        yield* documents;
        left -= documents.length;
      }
      [last] = isFull || !query.latestOnly ? places.slice(-1) : await find(following.end);
      more = isFull || (query.latestOnly && last !== undefined);
      looked += reach;
      if (more && left > 0 && looked >= MOST_PLACES.call) {
        return last;
      }
    }
  }
  return undefined;
}

/** The version after which the list begins. Its status and its successors do not matter, only where it stands. */
async function findStart(
  db: Pick<Database, 'read'>,
  caller: Caller,
  { after }: DistrictQuery,
): Promise<Place | undefined> {
  if (after === undefined) {
    return undefined;
  }
  const anchor = await db.read(caller, (reader) => requireAnchor(reader, caller.districtId, after.id));
  if (!after.isAt(anchor.reviewDate ?? '')) {
    throw invalidField('page_token', 'ends at a version whose review_date was changed since; start again without one');
  }
  return anchor;
}

/**
 * The documents at these places, without those that have come to be something else meanwhile. That is looked at here: in
 * the statement it would lead SQLite to another index than that of the ids.
 */
async function findAt(
  db: Pick<Database, 'read'>,
  caller: Caller,
  { status, reviewDateBefore }: DistrictQuery,
  places: readonly Place[],
): Promise<StoredDocument[]> {
  const ids = places.map(({ id }) => id);
  const documents = await db.read(caller, (reader) => findIeps(reader, caller.districtId, ids));
  return documents
    .filter(
      ({ iep }) =>
        (status === undefined || iep.status === status) &&
        (reviewDateBefore === undefined || (iep.reviewDate ?? reviewDateBefore) < reviewDateBefore),
    )
    .toSorted((a, b) => ids.indexOf(a.iep.id) - ids.indexOf(b.iep.id));
}
