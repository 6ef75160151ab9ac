import { Refusal } from './errors.ts';

/** Matches any state. */
const ANY = '*';

export function etagOf(row: { rowVersion: number }): string {
  return String(row.rowVersion);
}

/** Refuses a change that was made from an older state of the row. */
export function requireEtag(row: { rowVersion: number }, etag: string): void {
  const currentEtag = etagOf(row);
  if (etag !== ANY && etag !== currentEtag) {
    throw new Refusal('ETAG_MISMATCH', { currentEtag });
  }
}
