import type { FeedEvent } from './feed-events.ts';
import type { Place } from './feed-place.ts';

/** What a watcher takes at a time. */
export const PAGE_EVENTS = 32;

/** The next events of a watcher, and the place where it stands after all of them. */
export interface FeedPage {
  readonly events: readonly FeedEvent[];
  readonly end: Place;
}

/** The first of the events; `end` is the place after all of them. */
export function cutPage(events: readonly FeedEvent[], end: Place): FeedPage {
  const page = events.slice(0, PAGE_EVENTS);
  return { events: page, end: page.length === events.length ? end : page.at(-1)! };
}
