import { Refusal } from './errors.ts';

/** Matches any state. */
const ANY = '*';

export function etagOf(row: { rowVersion: number }): string {
  return String(row.rowVersion);
}

/** The row_version that an etag stands for; undefined where it never was one. */
export function rowVersionOf(etag: string): number | undefined {
  return /^[1-9][0-9]{0,9}$/.test(etag) ? Number(etag) : undefined;
}

/** Whether the etag stands for the state of the row, or for any. */
export function isCurrent(row: { rowVersion: number }, etag: string): boolean {
  return etag === ANY || etag === etagOf(row);
}

/** Refuses a change that was made from an older state of the row. */
export function requireEtag(row: { rowVersion: number }, etag: string): void {
  if (!isCurrent(row, etag)) {
    throw new Refusal('ETAG_MISMATCH', { currentEtag: etagOf(row) });
  }
}
