import type { EntityManager } from '@mikro-orm/sql';
import type { Database } from '../persistence/database.ts';
import { ChangeEvent, Iep } from '../persistence/entities.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { invalidField, Refusal } from './errors.ts';
import { requireStudent } from './find-students.ts';

/** The most events that are fetched at a time while a list is read: one may name hundreds of paths. */
const CHUNK = 100;

export interface ListAuditEventsQuery {
  readonly subject: { readonly studentId: string } | { readonly iepId: string };
  /** Begin after the event with this id. */
  readonly after: string | undefined;
  /** The most events that are asked for. */
  readonly limit: number;
}

/** With the columns that order the feed. */
type EventRow = Record<string, unknown>;

/**
 * The changes of a student and the student's IEPs, or of one IEP, oldest first, fetched as they are asked for. A change is
 * listed as soon as no older one can still be committed, so that none slips in before those that were read.
 */
export async function* listAuditEvents(
  db: Database,
  caller: Caller,
  { subject, after, limit }: ListAuditEventsQuery,
): AsyncGenerator<ChangeEvent, undefined> {
  const { districtId } = caller;
  const { studentId, place } = await db.read(caller, async (reader) => {
    const owner = await requireOwner(reader.em, districtId, subject);
    return {
      studentId: owner,
      place: after === undefined ? undefined : await findPlace(reader, districtId, owner, after),
    };
  });
  // An IEP's events are among its student's; the student's index has the iep_id too.
  const [filter, params] =
    'iepId' in subject ? ['and iep_id = ?', [districtId, studentId, subject.iepId]] : ['', [districtId, studentId]];
  let last = place;
  let left = limit;
  for (let full = true; full && left > 0;) {
    const count = Math.min(CHUNK, left);
    const chunk = await db.read(caller, async ({ em, sql: { feed } }) => {
      const columns = feed.columns.join(', ');
      const following = last && `and (${columns}) > (${feed.columns.map(() => '?').join(', ')})`;
      const rows = await em.execute<EventRow[]>(
        `select * from events where district_id = ? and student_id = ? ${filter} and ${feed.settled} ${following ?? ''}
         order by ${columns} limit ${count}`,
        [...params, ...(last ? feed.columns.map((column) => last?.[column]) : [])],
      );
      return { rows, events: rows.map((row) => em.map(ChangeEvent, row)) };
    });
    yield* chunk.events;
    last = chunk.rows.at(-1);
    left -= chunk.rows.length;
    full = chunk.rows.length === count;
  }
}

/** The id of the student whom the events are about. */
async function requireOwner(em: EntityManager, districtId: string, subject: ListAuditEventsQuery['subject']) {
  if ('studentId' in subject) {
    return (await requireStudent(em, districtId, subject.studentId)).id;
  }
  const iep = await em.findOne(Iep, { districtId, id: subject.iepId }, { fields: ['studentId'] });
  if (iep === null) {
    throw new Refusal('IEP_NOT_FOUND', subject);
  }
  return iep.studentId;
}

/** Where an event of the student stands in the feed. */
async function findPlace(
  { em, sql }: Reader,
  districtId: string,
  studentId: string,
  eventId: string,
): Promise<EventRow> {
  const [place] = await em.execute<EventRow[]>(
    // By its key alone: with the student in it, PostgreSQL may walk through all that the student has.
    `select student_id, ${sql.feed.columns.join(', ')} from events where district_id = ? and id = ?`,
    [districtId, eventId],
  );
  if (place?.['student_id'] !== studentId) {
    throw invalidField('page_token', 'is no token of this list; start again without one');
  }
  return place;
}
