import { setImmediate } from 'node:timers/promises';

/** What requests may take of one turn of the event loop, before what the database has answered is looked at. */
const SHARE_MS = 2;
/**
 * The requests of a client come in in the order of their arrival. When the first in line has waited for this share of its
 * time, that order serves nobody: each would be late when its turn comes. Then the last one is served first, as it has the
 * most time left.
 */
const PATIENCE = 0.25;

interface Waiting {
  /** When it will have waited for too long, in milliseconds since 1970. */
  readonly lateAt: number;
  readonly enter: () => void;
}

/** Until everything that can go on has done so. */
const settled = () => new Promise<void>((resolve) => process.nextTick(resolve));

/**
 * Lets requests in, some in each turn of the event loop. Else a flood of them would be read, and refused, before the next
 * answer of the database is, and those that were taken on would never be done. Clients take turns, so that one that sends
 * many at once holds up nobody but itself.
 */
export function createTurnGate(): (client: unknown, deadline: number) => Promise<void> {
  /** What waits, by client, in the order in which it is their turn. */
  const lines = new Map<unknown, Waiting[]>();
  let isTurning = false;
  let shareEnds = 0;

  function admitNext(): void {
    const [[client, line]] = lines as Iterable<[unknown, Waiting[]]> as [[unknown, Waiting[]]];
    const next = Date.now() > line[0]!.lateAt ? line.pop() : line.shift();
    lines.delete(client);
    if (line.length > 0) {
      lines.set(client, line);
    }
    next!.enter();
  }

  async function turn(): Promise<void> {
    do {
      await setImmediate();
      shareEnds = performance.now() + SHARE_MS;
      while (lines.size > 0 && performance.now() < shareEnds) {
        admitNext();
        await settled();
      }
    } while (lines.size > 0);
    isTurning = false;
  }

  return async (client, deadline) => {
    if (!isTurning) {
      isTurning = true;
      shareEnds = performance.now() + SHARE_MS;
      void turn();
    }
    if (lines.size > 0 || performance.now() >= shareEnds) {
      const now = Date.now();
      const lateAt = now + (deadline - now) * PATIENCE;
      const line = lines.get(client) ?? [];
      lines.set(client, line);
      await new Promise<void>((enter) => line.push({ lateAt, enter }));
    }
  };
}
