/** Conditions on versions, as parts of a statement with their parameters. */

/** A condition on a row of `ieps`, and its parameters. */
export type Condition = readonly [sql: string, ...params: unknown[]];

export interface IepFilters {
  readonly academicYear: string | undefined;
  readonly status: string | undefined;
  readonly reviewDateBefore: string | undefined;
  /** Only the highest version of each chain, where it matches the rest. */
  readonly latestOnly: boolean;
}

/**
 * True of the highest version of a chain: none follows it. A scalar subquery looks for that one by its whole key; of
 * `not exists` the planner may make a join that reads every chain before the first row.
 */
export const IS_LATEST = `(
  select 1 from ieps as next where next.district_id = ieps.district_id and next.student_id = ieps.student_id
    and next.academic_year = ieps.academic_year and next.version = ieps.version + 1
) is null`;

/** What the filters say of a version by itself. */
export function ownConditions(districtId: string, filters: Omit<IepFilters, 'latestOnly'>): Condition[] {
  const { academicYear, status, reviewDateBefore } = filters;
  return [
    ['district_id = ?', districtId],
    ...(academicYear === undefined ? [] : [['academic_year = ?', academicYear] as const]),
    ...(status === undefined ? [] : [['status = ?', status] as const]),
    ...(reviewDateBefore === undefined ? [] : [['review_date < ?', reviewDateBefore] as const]),
  ];
}

/** True of rows behind a place in an order. */
export function behind(columns: readonly string[], place: readonly unknown[]): Condition {
  return [`(${columns.join(', ')}) > (${columns.map(() => '?').join(', ')})`, ...place];
}

export function where(conditions: readonly Condition[]): Condition {
  return [`where ${conditions.map(([sql]) => sql).join(' and ')}`, ...conditions.flatMap(([, ...params]) => params)];
}
