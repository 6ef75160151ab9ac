/** Places in the feed, in an order that fits the order of the commits. */
import type { SqlFragments } from '../persistence/dialects/dialect.ts';
import type { Reader } from '../persistence/unit-of-work.ts';

/** A place in the feed: right after an event, or before the first one. */
export interface Place {
  /** Null before the first event. */
  readonly eventId: string | null;
  /** What the feed is ordered by. PostgreSQL counts transactions in 64 bits, more than a number holds. */
  readonly order: readonly bigint[];
}

export function compare(a: Place, b: Place): number {
  for (const [index, value] of a.order.entries()) {
    const other = b.order[index]!;
    if (value !== other) {
      return value < other ? -1 : 1;
    }
  }
  return 0;
}

export function later(a: Place, b: Place): Place {
  return compare(a, b) < 0 ? b : a;
}

/** A row of `placeColumns`. */
export interface PlaceRow {
  readonly id: string;
  readonly [column: string]: unknown;
}

/** The columns of `events` that say where an event stands. */
export const placeColumns = ({ feed }: SqlFragments) =>
  ['id', ...feed.columns.map((column) => `cast(${column} as text) as ${column}`)].join(', ');

/** What is read by `placeColumns`. */
export const placeOf = ({ feed }: SqlFragments, row: PlaceRow) => ({
  eventId: row.id,
  order: feed.columns.map((column) => BigInt(row[column] as string)),
});

/**
 * The last place in a district's feed: all that is committed later comes after it. It is that of an event, not of a
 * transaction's number: after a crash PostgreSQL may give numbers out again of which it kept no commit.
 */
export async function lastPlace({ em, sql }: Reader, districtId: string): Promise<Place> {
  const { columns, settled } = sql.feed;
  const [last] = await em.execute<PlaceRow[]>(
    `select ${placeColumns(sql)} from events where district_id = ? and ${settled}
     order by ${columns.map((column) => `events.${column} desc`).join(', ')} limit 1`,
    [districtId],
  );
  return last === undefined ? firstPlace(sql) : placeOf(sql, last);
}

const firstPlace = ({ feed }: SqlFragments): Place => ({ eventId: null, order: feed.columns.map(() => 0n) });

/** The place after an event, or before the first one; undefined when the district has no such event. */
export async function findPlace(
  { em, sql }: Reader,
  districtId: string,
  eventId: string | null,
): Promise<Place | undefined> {
  if (eventId === null) {
    return firstPlace(sql);
  }
  const [row] = await em.execute<PlaceRow[]>(
    `select ${placeColumns(sql)} from events where district_id = ? and id = ?`,
    [districtId, eventId],
  );
  return row && placeOf(sql, row);
}

/** A text that tells this database from others. */
export async function readIdentity({ em, sql }: Reader): Promise<string> {
  const [row] = await em.execute<{ identity: string }[]>(`select ${sql.feed.identity} as identity`);
  return row!.identity;
}
