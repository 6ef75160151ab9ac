import { StorageError } from '../persistence/errors.ts';
import type { FeedEvent } from './feed-events.ts';
import type { Place } from './feed-place.ts';

/** Events kept for each district. */
const RECENT_EVENTS = 256;

/** One who follows the feed. */
export interface Watcher {
  readonly studentId: string | undefined;
  /** Up to here nothing concerns it, while it waits. */
  place: Place;
  /** Set while it waits. */
  settle: ((failure?: Error) => void) | undefined;
}

/** What a process keeps of a district's feed while somebody follows it. */
export interface DistrictFeed {
  readonly watchers: Set<Watcher>;
  /** The events of IEPs after `start`, up to `end`. */
  recent: FeedEvent[];
  start: Place;
  end: Place;
}

/** Keeps the events that follow those kept, and wakes whom they concern. */
export function append(district: DistrictFeed, events: readonly FeedEvent[]): void {
  const ofIeps = events.filter(({ iepId }) => iepId !== null);
  district.end = events.at(-1) ?? district.end;
  district.recent.push(...ofIeps);
  if (district.recent.length > RECENT_EVENTS) {
    const dropped = district.recent.splice(0, district.recent.length - RECENT_EVENTS);
    district.start = dropped.at(-1)!;
  }
  const students = new Set(ofIeps.map(({ studentId }) => studentId));
  for (const watcher of district.watchers) {
    const { studentId, settle } = watcher;
    if (settle === undefined) {
      continue;
    }
    if (studentId === undefined ? ofIeps.length > 0 : students.has(studentId)) {
      watcher.settle = undefined;
      settle();
    } else {
      watcher.place = district.end;
    }
  }
}

/** As a watcher of the feed, waits until there may be something after the place; see Subscription. */
export async function waitBehind(watcher: Watcher, place: Place, ms: number, signal: AbortSignal): Promise<Place> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(new StorageError('NOT_EXECUTED', {}));
  const timer = setTimeout(resolve, ms);
  const settle = (failure?: Error) => (failure === undefined ? resolve() : reject(failure));
  Object.assign(watcher, { place, settle });
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    await promise;
    return watcher.place;
  } finally {
    clearTimeout(timer);
    watcher.settle = undefined;
    signal.removeEventListener('abort', onAbort);
  }
}
