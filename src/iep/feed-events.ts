/** The events table as a feed: changes in an order that fits the order of their commits. */
import type { SqlFragments } from '../persistence/dialects/dialect.ts';
import type { Reader } from '../persistence/unit-of-work.ts';

/** A place in the feed: right after an event, or before the first one. */
export interface Place {
  /** Null before the first event. */
  readonly eventId: string | null;
  /** What the feed is ordered by. PostgreSQL counts transactions in 64 bits, more than a number holds. */
  readonly order: readonly bigint[];
}

/** What of the feed is asked for. */
export interface Scope {
  readonly districtId: string;
  /** Undefined for the whole district. */
  readonly studentId: string | undefined;
}

/** An event, without the document, and the place after it. */
export interface FeedEvent extends Place {
  readonly eventId: string;
  readonly districtId: string;
  readonly studentId: string;
  /** Null when the event is about the student. */
  readonly iepId: string | null;
  readonly rpc: string;
  readonly actor: string;
  readonly time: Date;
  readonly fromStatus: string | null;
  readonly toStatus: string | null;
  /** About the size of the document. */
  readonly bytes: number;
  /** Nothing can come before it any more. */
  readonly settled: boolean;
}

interface PlaceRow {
  readonly id: string;
  readonly [column: string]: unknown;
}

interface EventRow extends PlaceRow {
  readonly district_id: string;
  readonly student_id: string;
  readonly iep_id: string | null;
  readonly rpc: string;
  readonly actor: string;
  readonly event_time: string | number | Date;
  readonly from_status: string | null;
  readonly to_status: string | null;
  readonly bytes: number | string;
  readonly settled: number;
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

const placeColumns = ({ feed }: SqlFragments) =>
  ['id', ...feed.columns.map((column) => `cast(${column} as text) as ${column}`)].join(', ');

const placeOf = ({ feed }: SqlFragments, row: PlaceRow) => ({
  eventId: row.id,
  order: feed.columns.map((column) => BigInt(row[column] as string)),
});

const DOCUMENT_BYTES = `
  coalesce((
    select octet_length(cast(content as text)) from ieps
    where ieps.district_id = events.district_id and ieps.id = events.iep_id
  ), 0) + coalesce((
    select sum(octet_length(goal_text) + octet_length(baseline) + octet_length(target_criteria)
      + octet_length(measurement_method))
    from goals where goals.district_id = events.district_id and goals.iep_id = events.iep_id
  ), 0)`;

/** The next `limit` events after each of some places, in order for each of them, by one statement. */
export async function readEvents(
  { em, sql }: Reader,
  parts: readonly { scope: Scope; after: Place }[],
  limit: number,
): Promise<FeedEvent[]> {
  const { columns, settled, after } = sql.feed;
  const params: unknown[] = [];
  const selects = parts.map(({ scope: { districtId, studentId }, after: { order } }, index) => {
    params.push(districtId, ...(studentId === undefined ? [] : [studentId]), ...order.map(String));
    return `select * from (
      select ${placeColumns(sql)}, district_id, student_id, iep_id, rpc, actor, event_time, from_status, to_status,
        ${DOCUMENT_BYTES} as bytes, case when ${settled} then 1 else 0 end as settled
      from events where district_id = ? ${studentId === undefined ? '' : 'and student_id = ?'} and ${after}
      order by ${columns.map((column) => `events.${column}`).join(', ')} limit ${limit}) as part${index}`;
  });
  const rows = await em.execute<EventRow[]>(selects.join(' union all '), params);
  return rows.map((row) => ({
    ...placeOf(sql, row),
    districtId: row.district_id,
    studentId: row.student_id,
    iepId: row.iep_id,
    rpc: row.rpc,
    actor: row.actor,
    time: new Date(row.event_time),
    fromStatus: row.from_status,
    toStatus: row.to_status,
    bytes: Number(row.bytes),
    settled: row.settled === 1,
  }));
}

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
