import { setImmediate } from 'node:timers/promises';

/** What requests may take of one turn of the event loop, before what the database has answered is looked at. */
const SHARE_MS = 2;
/** When the first in line has waited for so long, the last one is served first: it has the most time left. */
const CROWDED_MS = 100;

interface Waiting {
  readonly since: number;
  readonly enter: () => void;
}

/** Until everything that can go on has done so. */
const settled = () => new Promise<void>((resolve) => process.nextTick(resolve));

/**
 * Lets requests in, some in each turn of the event loop. Else a flood of them would be read, and refused, before the next
 * answer of the database is, and those that were taken on would never be done.
 */
export function createTurnGate(): () => Promise<void> {
  const line: Waiting[] = [];
  let isTurning = false;
  let shareEnds = 0;

  async function turn(): Promise<void> {
    do {
      await setImmediate();
      shareEnds = performance.now() + SHARE_MS;
      while (line.length > 0 && performance.now() < shareEnds) {
        const isCrowded = performance.now() - line[0]!.since > CROWDED_MS;
        (isCrowded ? line.pop() : line.shift())!.enter();
        await settled();
      }
    } while (line.length > 0);
    isTurning = false;
  }

  return async () => {
    const since = performance.now();
    if (!isTurning) {
      isTurning = true;
      shareEnds = since + SHARE_MS;
      void turn();
    }
    if (line.length > 0 || since >= shareEnds) {
      await new Promise<void>((enter) => line.push({ since, enter }));
    }
  };
}
