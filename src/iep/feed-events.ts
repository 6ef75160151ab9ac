/** The events table as a feed: changes in an order that fits the order of their commits. */
import type { Reader } from '../persistence/unit-of-work.ts';
import { type Place, placeColumns, placeOf, type PlaceRow } from './feed-place.ts';

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
  readonly rowVersion: number;
  /** Nothing can come before it any more. */
  readonly settled: boolean;
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
  readonly row_version: number;
  readonly settled: number;
}

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
        row_version,        case when ${settled} then 1 else 0 end as settled
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
    rowVersion: row.row_version,
    settled: row.settled === 1,
  }));
}
