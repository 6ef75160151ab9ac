import type { Database } from '../persistence/database.ts';
import type { Caller } from './caller.ts';
import { invalidField } from './errors.ts';
import { type Place, placesAfter, type PlaceRow, stretchesAfter, UNDATED } from './district-places.ts';
import { requireAnchor } from './iep-anchor.ts';
import type { IepFilters } from './iep-conditions.ts';
import { CHUNK, findIeps, type StoredDocument } from './iep-document.ts';

export interface DistrictQuery extends IepFilters {
  /** Begin after the version with this id, where `isAt` knows the review_date that it had then. */
  readonly after: { readonly id: string; readonly isAt: (reviewDate: string) => boolean } | undefined;
  /** The most versions that are asked for. */
  readonly limit: number;
}

/** Places read at a time where only some of them may be listed: more with every step that finds too few. */
const WINDOW = { first: 500, most: 4000 };
/** A call looks at so many places, or a few more, and then stops, however few of them may be listed. */
const MOST_PLACES = 10_000;

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
  let left = query.limit;
  let looked = 0;
  for (const stretch of stretchesAfter(start, query)) {
    let last = start !== undefined && (start.reviewDate === null) === (stretch === UNDATED) ? start : undefined;
    let growing = WINDOW.first;
    for (let full = true; full && left > 0;) {
      const window = query.latestOnly ? growing : left;
      growing = Math.min(2 * growing, WINDOW.most);
      const [sql, ...params] = placesAfter(caller.districtId, query, stretch, last, window);
      const places = await db.read(caller, ({ em }) => em.execute<PlaceRow[]>(sql, params));
      const found = places.filter(({ listed }) => Boolean(listed));
      const wanted = found.slice(0, left);
      for (let index = 0; index < wanted.length; index += CHUNK) {
        const documents = await findAt(db, caller, query, wanted.slice(index, index + CHUNK));
        yield* documents;
        left -= documents.length;
      }
      const cut = wanted.length < found.length;
      last = (cut ? wanted : places).at(-1);
      full = cut || places.length === window;
      looked += places.length;
      if (full && left > 0 && looked >= MOST_PLACES) {
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
