import type { FeedEvent } from './feed-events.ts';
import type { Place } from './feed-place.ts';

/** What a watcher takes at a time. */
export const PAGE_EVENTS = 32;
const PAGE_BYTES = 512 * 1024;

/** The next events of a watcher, and the place where it stands after all of them. */
export interface FeedPage {
  readonly events: readonly FeedEvent[];
  readonly end: Place;
}

/** As many events as fit, at least one of them. */
export function cutPage(events: readonly FeedEvent[], end: Place): FeedPage {
  let bytes = 0;
  const count = events.findIndex((event, index) => {
    bytes += event.bytes;
    return index === PAGE_EVENTS || (index > 0 && bytes > PAGE_BYTES);
  });
  const page = count === -1 ? events : events.slice(0, count);
  return { events: page, end: count === -1 ? end : page.at(-1)! };
}
