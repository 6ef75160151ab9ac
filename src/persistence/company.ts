/**
 * Others whom a crowd holds up. While one lane is stormed, its batches keep the event loop, the database and their cores
 * busy, and a call of anybody else waits for a batch at each of its steps. So a crowded lane makes way for those who are
 * alone in theirs: its batches are small, and after each it pauses.
 */

/** How long a crowd makes way after somebody else came. */
const WINDOW_MS = 300;
/** Of the time that its batch took, so that it has about a third of the time. */
const PAUSE_SHARE = 2;
/** A batch may have waited for the database, which is nobody else's loss. */
const LONGEST_PAUSE_MS = 100;

export const pauseAfter = (batchMs: number) => Math.min(PAUSE_SHARE * batchMs, LONGEST_PAUSE_MS);

/** Who came of late. */
export function createCompany(now: () => number = () => performance.now()) {
  let last = { lane: '', at: -Infinity };
  /** When one came last who was not the last one. */
  let otherAt = -Infinity;
  return {
    /** Somebody found the lane idle. */
    note(lane: string): void {
      otherAt = last.lane === lane ? otherAt : last.at;
      last = { lane, at: now() };
    },
    has(lane: string): boolean {
      return now() - (last.lane === lane ? otherAt : last.at) < WINDOW_MS;
    },
  };
}
