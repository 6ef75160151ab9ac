/** The places of the district's versions in the order of the list, which an index gives without the documents. */
import type { Anchor } from './iep-anchor.ts';
import { behind, type Condition, type IepFilters, IS_LATEST, ownConditions, where } from './iep-conditions.ts';

const STATUSES = ['DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED'];

/** Where a version stands in the district's list. */
export type Place = Pick<Anchor, 'id' | 'reviewDate'>;

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

/** Statements about the next places of a stretch. */
interface FollowingPlaces {
  /** The first of them that may be listed, at most `limit`. The rest is not looked at. */
  readonly listed: (limit: number) => Condition;
  /** The last of them, if the stretch goes that far. */
  readonly end: Condition;
}

/**
 * The next places of a stretch, as far as `reach`. The indexes go by review_date within a status, so each status gives as
 * many as may be needed, and those are merged. Without ends of their own they would be read whole and sorted.
 */
export function placesAfter(
  districtId: string,
  { latestOnly, ...filters }: IepFilters,
  { condition, order, orderOf }: Stretch,
  last: Place | undefined,
  reach: number,
): FollowingPlaces {
  const inOrder = `order by ${order.join(', ')}`;
  const columns = latestOnly ? 'district_id, student_id, academic_year, version, review_date, id' : 'review_date, id';
  const following = last === undefined ? [] : [behind(order, orderOf(last))];
  const ranges = (filters.status === undefined ? STATUSES : [filters.status]).map((status, index): Condition => {
    const [clause, ...params] = where([
      ...ownConditions(districtId, { ...filters, status }),
      [condition],
      ...following,
    ]);
    return [
      `select * from (select ${columns} from ieps ${clause} ${inOrder} limit ${reach}) as range${index}`,
      ...params,
    ];
  });
  const merged = `select * from (${ranges.map(([sql]) => sql).join(' union all ')}) as merged ${inOrder} limit ${reach}`;
  const params = ranges.flatMap(([, ...own]) => own);
  const select = `select id, cast(review_date as text) as "reviewDate" from (${merged}) as ieps`;
  return {
    listed: (limit) => [`${select} ${latestOnly ? `where ${IS_LATEST}` : ''} ${inOrder} limit ${limit}`, ...params],
    end: [`${select} ${inOrder} limit 1 offset ${reach - 1}`, ...params],
  };
}
