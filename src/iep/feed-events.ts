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
  /** About the size of the document. */
  readonly bytes: number;
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
  readonly bytes: number | string;
  readonly settled: number;
}

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
