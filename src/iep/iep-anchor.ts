import type { Reader } from '../persistence/unit-of-work.ts';
import { invalidField } from './errors.ts';
import { type Condition, where } from './iep-conditions.ts';

/** Where a version stands in lists. */
export interface Anchor {
  readonly id: string;
  readonly academicYear: string;
  readonly version: number;
  readonly reviewDate: string | null;
}

/** Reads where the version stands at which the last page ended; `conditions` are those of every version of the list. */
export async function requireAnchor(
  { em }: Reader,
  districtId: string,
  iepId: string,
  ...conditions: readonly Condition[]
): Promise<Anchor> {
  const [clause, ...params] = where([['district_id = ?', districtId], ['id = ?', iepId], ...conditions]);
  const [anchor] = await em.execute<Anchor[]>(
    `select id, academic_year as "academicYear", version, cast(review_date as text) as "reviewDate" from ieps ${clause}`,
    params,
  );
  if (anchor === undefined) {
    throw invalidField('page_token', 'is no token of this list; start again without one');
  }
  return anchor;
}
