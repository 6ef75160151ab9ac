import { createHash } from 'node:crypto';
import type { Database } from '../persistence/database.ts';
import type { Call } from '../persistence/retry.ts';
import type { Caller } from './caller.ts';
import { createChangeFeed } from './change-feed.ts';
import { createDocumentLoader } from './document-loader.ts';
import { Refusal } from './errors.ts';
import type { FeedEvent } from './feed-events.ts';
import { findPlace, lastPlace, type Place, readIdentity } from './feed-place.ts';
import { requireStudent } from './find-students.ts';
import { createFreshDocuments } from './fresh-documents.ts';
import type { IepDocument } from './iep-document.ts';

/** What a watch can be resumed from. */
export interface WatchPosition {
  /** Tag of the database. */
  readonly database: string;
  /** The last event before it; null before the first one. */
  readonly eventId: string | null;
}

export interface WatchQuery {
  /** Undefined for the whole district. */
  readonly studentId: string | undefined;
  /** Undefined for now. */
  readonly after: WatchPosition | undefined;
  readonly heartbeatMs: number;
}

/** A change of an IEP with the document as it is now, or a heartbeat. */
export interface WatchMessage {
  readonly position: WatchPosition;
  readonly change?: { readonly event: FeedEvent; readonly document: IepDocument };
}

export type WatchIeps = (caller: WatchCaller, query: WatchQuery) => AsyncGenerator<WatchMessage, never>;

/** A watch has no deadline but that of its signal. */
type WatchCaller = Omit<Caller, 'deadline'>;

/** How long one read is tried. */
const PATIENCE_MS = 10_000;
/** Documents that were read longer ago are read again before they are sent. */
const FRESH_MS = 1000;

/** Makes the watch of all committed changes; all watches of a process share what they can. */
export function createWatchIeps(db: Database): WatchIeps {
  const fresh = createFreshDocuments();
  const feed = createChangeFeed(db, fresh);
  const loadDocuments = createDocumentLoader(db, fresh);

  return async function* watchIeps(caller, query) {
    const { districtId, signal } = caller;
    const { studentId, heartbeatMs } = query;
    const { database, now, start } = await findStart(db, caller, query);
    const positionOf = ({ eventId }: Place): WatchPosition => ({ database, eventId });
    const subscription = feed.subscribe({ districtId, studentId }, now);
    let place = start;
    let sentAt = Date.now();
    try {
      if (query.after === undefined) {
        yield { position: positionOf(place) };
      }
      for (;;) {
        const { events, end } = await subscription.take(place, callOf(caller));
        if (events.length === 0) {
          place = await subscription.wait(end, Math.max(0, sentAt + heartbeatMs - Date.now()), signal);
          if (Date.now() - sentAt >= heartbeatMs) {
            yield { position: positionOf(place) };
            sentAt = Date.now();
          }
          continue;
        }
        const documents = await loadDocuments(districtId, events);
        const readAt = Date.now();
        for (const [index, document] of documents.entries()) {
          const event = events[index]!;
          yield { position: positionOf(event), change: { event, document } };
          place = event;
          sentAt = Date.now();
          if (signal.aborted || sentAt - readAt > FRESH_MS) {
            break;
          }
        }
        if (place === events.at(-1)) {
          place = end;
        }
      }
    } finally {
      subscription.close();
    }
  };
}

/** Where the watch begins, and the last place of the feed. */
async function findStart(db: Database, caller: WatchCaller, { studentId, after }: WatchQuery) {
  const { districtId } = caller;
  return db.read(callOf(caller), async (reader) => {
    if (studentId !== undefined) {
      await requireStudent(reader.em, districtId, studentId);
    }
    const database = tagOf(await readIdentity(reader));
    const now = await lastPlace(reader, districtId);
    if (after === undefined) {
      return { database, now, start: now };
    }
    const start = after.database === database ? await findPlace(reader, districtId, after.eventId) : undefined;
    // An event that is not there was lost: the database is one that was restored from a backup.
    if (start === undefined) {
      throw new Refusal('WATCH_TOKEN_UNKNOWN', {});
    }
    return { database, now, start };
  });
}

/** Eight bytes in hex. */
function tagOf(identity: string): string {
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}

function callOf({ signal }: WatchCaller): Call {
  return { deadline: Date.now() + PATIENCE_MS, signal };
}
