import type { FilterQuery } from '@mikro-orm/core';
import type { Database } from '../persistence/database.ts';
import { Iep } from '../persistence/entities.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { invalidField } from './errors.ts';
import { behind, type Condition, type IepFilters, IS_LATEST, ownConditions, where } from './iep-conditions.ts';
import { CHUNK, findIeps, type IepDocument } from './iep-document.ts';

export interface DistrictQuery extends IepFilters {
  /** Begin after the version with this id, where `isAt` knows the review_date that it had then. */
  readonly after: { readonly id: string; readonly isAt: (reviewDate: string) => boolean } | undefined;
  /** The most versions that are asked for. */
  readonly limit: number;
}

const STATUSES = ['DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED'];

/** Places read at a time where only some of them may be listed: more with every step that finds too few. */
const WINDOW = { first: 500, most: 8000 };

interface Place {
  readonly id: string;
  readonly reviewDate: string | null;
}

interface PlaceRow extends Place {
  /** 0 and 1 on SQLite. */
  readonly listed: boolean | number;
}

/** A part of the list, in the order of its index. */
interface Stretch {
  readonly condition: string;
  readonly order: readonly string[];
  readonly orderOf: (place: Place) => readonly unknown[];
}

const DATED: Stretch = {
  condition: 'review_date is not null',
  order: ['review_date', 'id'],
  orderOf: ({ reviewDate, id }) => [reviewDate, id],
};
const UNDATED: Stretch = { condition: 'review_date is null', order: ['id'], orderOf: ({ id }) => [id] };

/**
 * The district's versions by review_date, those without one last, then id. First their places are read, which an index
 * gives without the documents, then the documents, as they are asked for.
 */
export async function* listDistrict(
  db: Pick<Database, 'read'>,
  caller: Caller,
  query: DistrictQuery,
): AsyncGenerator<IepDocument> {
  const start = await findStart(db, caller, query);
  let left = query.limit;
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
    }
  }
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
  const { districtId } = caller;
  const anchor = await db.read(caller, (reader) => requireAnchor(reader, { districtId, id: after.id }));
  if (!after.isAt(anchor.reviewDate ?? '')) {
    throw invalidField('page_token', 'ends at a version whose review_date was changed since; start again without one');
  }
  return { id: anchor.id, reviewDate: anchor.reviewDate ?? null };
}

/** Reads where the version stands at which the last page ended. */
export async function requireAnchor({ em }: Reader, key: FilterQuery<Iep>) {
  const anchor = await em.findOne(Iep, key, { fields: ['academicYear', 'version', 'reviewDate'] });
  if (anchor === null) {
    throw invalidField('page_token', 'is no token of this list; start again without one');
  }
  return anchor;
}

function stretchesAfter(start: Place | undefined, { reviewDateBefore }: DistrictQuery): Stretch[] {
  return [
    ...(start === undefined || start.reviewDate !== null ? [DATED] : []),
    ...(reviewDateBefore === undefined ? [UNDATED] : []),
  ];
}

/**
 * Reads the next places of a stretch. The indexes go by review_date within a status, so each status gives as many as may
 * be needed, and those are merged. Without ends of their own they would be read whole and sorted.
 */
function placesAfter(
  districtId: string,
  { latestOnly, ...filters }: DistrictQuery,
  { condition, order, orderOf }: Stretch,
  last: Place | undefined,
  limit: number,
): Condition {
  const ending = `order by ${order.join(', ')} limit ${limit}`;
  const columns = latestOnly ? 'district_id, student_id, academic_year, version, review_date, id' : 'review_date, id';
  const following = last === undefined ? [] : [behind(order, orderOf(last))];
  const ranges = (filters.status === undefined ? STATUSES : [filters.status]).map((status, index): Condition => {
    const [clause, ...params] = where([
      ...ownConditions(districtId, { ...filters, status }),
      [condition],
      ...following,
    ]);
    return [`select * from (select ${columns} from ieps ${clause} ${ending}) as range${index}`, ...params];
  });
  return [
    `select id, cast(review_date as text) as "reviewDate", ${latestOnly ? IS_LATEST : 'true'} as listed
     from (${ranges.map(([sql]) => sql).join(' union all ')}) as ieps ${ending}`,
    ...ranges.flatMap(([, ...params]) => params),
  ];
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
): Promise<IepDocument[]> {
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
