/** The places of the district's versions in the order of the list, which an index gives without the documents. */
import type { Anchor } from './iep-anchor.ts';
import { behind, type Condition, type IepFilters, IS_LATEST, ownConditions, where } from './iep-conditions.ts';

const STATUSES = ['DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED'];

/** Where a version stands in the district's list. */
export type Place = Pick<Anchor, 'id' | 'reviewDate'>;

export interface PlaceRow extends Place {
  /** 0 and 1 on SQLite. */
  readonly listed: boolean | number;
}

/** A part of the list, in the order of its index. */
export interface Stretch {
  readonly condition: string;
  readonly order: readonly string[];
  readonly orderOf: (place: Place) => readonly unknown[];
}

const DATED: Stretch = {
  condition: 'review_date is not null',
  order: ['review_date', 'id'],
  orderOf: ({ reviewDate, id }) => [reviewDate, id],
};
export const UNDATED: Stretch = { condition: 'review_date is null', order: ['id'], orderOf: ({ id }) => [id] };

/** What of the list comes after a place. */
export function stretchesAfter(start: Place | undefined, { reviewDateBefore }: IepFilters): Stretch[] {
  return [
    ...(start === undefined || start.reviewDate !== null ? [DATED] : []),
    ...(reviewDateBefore === undefined ? [UNDATED] : []),
  ];
}

/**
 * The statement that reads the next places of a stretch. The indexes go by review_date within a status, so each status
 * gives as many as may be needed, and those are merged. Without ends of their own they would be read whole and sorted.
 */
export function placesAfter(
  districtId: string,
  { latestOnly, ...filters }: IepFilters,
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
