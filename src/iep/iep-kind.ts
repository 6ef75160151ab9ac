/** Kinds that copy a base and keep its review_date. */
export const BASED_KINDS = ['AMENDMENT', 'CORRECTION'];

/** The kind of a version for which none is given. */
export function usualKind(version: number): string {
  return version === 1 ? 'INITIAL' : 'ANNUAL';
}
