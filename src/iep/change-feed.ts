/**
 * Follows the feed for all watchers of this process: one tail, which runs while there are watchers, reads each new event
 * once, keeps the newest ones, and wakes whom they concern. A watcher takes from what is kept, or reads from the database
 * where it is further behind; it takes when its caller has read, so a slow one costs nothing but its place.
 */
import type { Database } from '../persistence/database.ts';
import type { Call } from '../persistence/retry.ts';
import { createAlarm } from './alarm.ts';
import { append, type DistrictFeed, waitBehind, type Watcher } from './district-feed.ts';
import { type FeedEvent, readEvents, type Scope } from './feed-events.ts';
import { cutPage, type FeedPage, PAGE_EVENTS } from './feed-page.ts';
import type { FreshDocuments } from './fresh-documents.ts';
import { compare, later, type Place } from './feed-place.ts';

/** How long a commit of another process may go unseen. */
const POLL_MS = 200;
/** Commits of this process that come together are looked for together. */
const GATHER_MS = 2;
/** How soon to look again for an event that waits for an older transaction to end; doubled while it does not. */
const UNSETTLED_MS = 5;
/** How long one look is tried. */
const PATIENCE_MS = 10_000;
/** Events read at a time by the tail. */
const TAIL_EVENTS = 500;
const NEVER = new AbortController().signal;

interface Subscription {
  /** The next changes of IEPs after the place; without any, all up to the page's end was looked at. */
  take(place: Place, call: Call): Promise<FeedPage>;
  /**
   * Waits until there may be something after the place, at most `ms`, and answers a place up to which there certainly is
   * nothing. Rejects when the feed cannot be followed, and with NOT_EXECUTED when the signal aborts.
   */
  wait(place: Place, ms: number, signal: AbortSignal): Promise<Place>;
  close(): void;
}

export interface ChangeFeed {
  /** `now` is a place in the district's feed that was its last one a moment ago. */
  subscribe(scope: Scope, now: Place): Subscription;
}

export function createChangeFeed(db: Pick<Database, 'read' | 'onCommit'>, fresh: FreshDocuments): ChangeFeed {
  const districts = new Map<string, DistrictFeed>();
  let looking = false;
  let lookAgain = false;
  let unsettledMs = UNSETTLED_MS;
  let stopListening = () => {};
  const alarm = createAlarm(() => void look());

  async function look(): Promise<void> {
    if (looking) {
      lookAgain = true;
      return;
    }
    looking = true;
    lookAgain = false;
    let nextMs = POLL_MS;
    try {
      nextMs = await readNew();
    } catch (error) {
      [...districts.values()]
        .flatMap(({ watchers }) => [...watchers])
        .forEach(({ settle }) => settle?.(error as Error));
    }
    looking = false;
    if (districts.size > 0) {
      alarm.within(lookAgain ? GATHER_MS : nextMs);
    }
  }

  /** Answers how soon there may be more. */
  async function readNew(): Promise<number> {
    const followed = [...districts];
    const parts = followed.map(([districtId, { end }]) => ({
      scope: { districtId, studentId: undefined },
      after: end,
    }));
    const call = { deadline: Date.now() + PATIENCE_MS, signal: NEVER };
    const events = await db.read(call, (reader) => readEvents(reader, parts, TAIL_EVENTS));
    const settled = events.filter((event) => event.settled);
    const byDistrict = Map.groupBy(settled, ({ districtId }) => districtId);
    for (const [districtId, district] of followed) {
      // One that was left and joined again meanwhile has another place.
      if (districts.get(districtId) === district) {
        append(district, byDistrict.get(districtId) ?? []);
      }
    }
    unsettledMs = settled.length > 0 ? UNSETTLED_MS : Math.min(2 * unsettledMs, POLL_MS);
    if (settled.length < events.length) {
      return unsettledMs;
    }
    return settled.length >= TAIL_EVENTS ? 0 : POLL_MS;
  }

  function join(districtId: string, now: Place): DistrictFeed {
    if (districts.size === 0) {
      stopListening = db.onCommit((news) => {
        fresh.keep(news);
        alarm.within(GATHER_MS);
      });
    }
    const district = districts.get(districtId) ?? { watchers: new Set(), recent: [], start: now, end: now };
    districts.set(districtId, district);
    // What was committed after `now` was read is not to wait for the next turn.
    alarm.within(0);
    return district;
  }

  function leave(districtId: string, district: DistrictFeed, watcher: Watcher): void {
    district.watchers.delete(watcher);
    if (district.watchers.size === 0) {
      districts.delete(districtId);
    }
    if (districts.size === 0) {
      stopListening();
      alarm.stop();
      fresh.clear();
    }
  }

  return {
    subscribe(scope, now) {
      const { districtId, studentId } = scope;
      const district = join(districtId, now);
      const watcher: Watcher = { studentId, place: now, settle: undefined };
      district.watchers.add(watcher);
      const concerns = (event: FeedEvent) => studentId === undefined || event.studentId === studentId;

      return {
        async take(place, call) {
          if (compare(place, district.start) >= 0) {
            const first = district.recent.findLastIndex((event) => compare(event, place) <= 0) + 1;
            const end = later(place, district.end);
            return cutPage(district.recent.slice(first).filter(concerns), end);
          }
          const reached = later(place, district.end);
          const read = await db.read(call, (reader) => readEvents(reader, [{ scope, after: place }], PAGE_EVENTS));
          const settled = read.filter((event) => event.settled);
          const last = settled.at(-1) ?? place;
          const more = settled.length === PAGE_EVENTS;
          return cutPage(
            settled.filter(({ iepId }) => iepId !== null),
            more ? last : later(last, reached),
          );
        },

        async wait(place, ms, signal) {
          if (compare(district.end, place) > 0) {
            return place;
          }
          return waitBehind(watcher, place, ms, signal);
        },

        close: () => leave(districtId, district, watcher),
      };
    },
  };
}
