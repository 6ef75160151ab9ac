/** How long calls wait before they start, and whether another one should. */

/** Whoever would wait for longer than this share of its time is not likely to be done in time. */
const PATIENCE = 0.5;
/** A wait that is no sign of overload, however short a caller's time is. */
const SHORT_MS = 50;

/**
 * A queue in which every call waits for about as long as its caller does serves nobody: each is given up when its turn
 * comes. So a call is turned away at once when those before it have waited for half of the time that it has.
 */
export function isTooLong(
  delayMs: number,
  { queuedAt, deadline }: { queuedAt: number; deadline: number },
  patience = PATIENCE,
): boolean {
  return delayMs > Math.max(SHORT_MS, (deadline - queuedAt) * patience);
}

const FORESIGHT = 4;

/**
 * A wait as it is foreseen, no longer than so many times what those who start now have waited: at the beginning of a burst the
 * pace is that of its slow start.
 */
export function foreseenMs(waiting: number, msPerJob: number, waitedMs: number): number {
  return Math.min(waiting * msPerJob, FORESIGHT * waitedMs);
}

const WINDOW_MS = 100;

/** The least delay of the last one to two windows: what is left of a queue that a burst has made is no overload. */
export function createDelayGauge(now: () => number = Date.now) {
  const empty = (start: number) => ({ start, least: Infinity });
  let current = empty(0);
  let previous = empty(0);

  function turn(): void {
    const time = now();
    if (time >= current.start + WINDOW_MS) {
      previous = time < current.start + 2 * WINDOW_MS ? current : empty(time);
      current = empty(time);
    }
  }

  return {
    note(delayMs: number): void {
      turn();
      current.least = Math.min(current.least, delayMs);
    },
    /** 0 when nothing has started of late. */
    read(): number {
      turn();
      const least = Math.min(current.least, previous.least);
      return least === Infinity ? 0 : least;
    },
  };
}

/** So many jobs make a pace: a single slow one is none. */
const PACE_JOBS = 100;
/** For how long it is told after it was measured. */
const PACE_AGE_MS = 1000;

/** How many milliseconds a job takes of late, those that run at once counted together. */
export function createPaceGauge(now: () => number = Date.now) {
  let since = now();
  let done = 0;
  let pace = { msPerJob: 0, at: -Infinity };

  function begin(): void {
    since = now();
    done = 0;
  }

  return {
    /** Something waits after nothing did: the time before is no job's. */
    begin,
    note(jobs: number): void {
      done += jobs;
      const time = now();
      if (done >= PACE_JOBS && time >= since + WINDOW_MS) {
        pace = { msPerJob: (time - since) / done, at: time };
        begin();
      }
    },
    /** 0 while too few have run of late. */
    read: () => (now() <= pace.at + PACE_AGE_MS ? pace.msPerJob : 0),
  };
}
