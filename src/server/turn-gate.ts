import { setImmediate } from 'node:timers/promises';

/** What requests may take of one turn of the event loop, before what the database has answered is looked at. */
const SHARE_MS = 2;
/**
 * The requests of a client come in in the order of their arrival. When the first in line has waited for the lesser share of
 * its time, that order serves nobody: each would be late when its turn comes. Then the last one is served first, as it has
 * the most time left. One that has waited for the greater share would not be done in time, and is refused.
 */
const PATIENCE = { inOrder: 0.25, atAll: 0.5 };

/** What may wait, over all clients. */
export interface GateLimits {
  readonly calls: number;
  readonly bytes: number;
}

const LIMITS: GateLimits = { calls: 8192, bytes: 64 * 1024 * 1024 };

export interface GateCall {
  /** What is one and the same for all calls of a connection. */
  readonly client: unknown;
  /** In milliseconds since 1970; undefined = the caller waits without an end. */
  readonly deadline: number | undefined;
  /** Of the request, which is held while it waits. */
  readonly bytes: number;
}

interface Waiting {
  /** Both in milliseconds since 1970. */
  readonly lateAt: number;
  readonly refusedAt: number;
  readonly enter: (isIn: boolean) => void;
}

/** Until everything that can go on has done so. */
const settled = () => new Promise<void>((resolve) => process.nextTick(resolve));

/**
 * Lets requests in, some in each turn of the event loop. Else a flood of them would be read, and refused, before the next
 * answer of the database is, and those that were taken on would never be done. Clients take turns, so that one that sends
 * many at once holds up nobody but itself. Answers when it is the call's turn: true = it is let in, false = it is refused.
 */
export function createTurnGate(limits: GateLimits = LIMITS): (call: GateCall) => Promise<boolean> {
  /** What waits, by client, in the order in which it is their turn. */
  const lines = new Map<unknown, Waiting[]>();
  const held = { calls: 0, bytes: 0 };
  let isTurning = false;
  let shareEnds = 0;

  function admitNext(): void {
    const [[client, line]] = lines as Iterable<[unknown, Waiting[]]> as [[unknown, Waiting[]]];
    const now = Date.now();
    const first = line[0]!;
    const next = now > first.lateAt && now <= first.refusedAt ? line.pop() : line.shift();
    lines.delete(client);
    if (line.length > 0) {
      lines.set(client, line);
    }
    next!.enter(now <= next!.refusedAt);
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

  async function wait({ client, deadline = Infinity, bytes }: GateCall): Promise<boolean> {
    const now = Date.now();
    const after = (share: number) => now + (deadline - now) * share;
    const line = lines.get(client) ?? [];
    lines.set(client, line);
    held.calls++;
    held.bytes += bytes;
    const isIn = await new Promise<boolean>((enter) =>
      line.push({ lateAt: after(PATIENCE.inOrder), refusedAt: after(PATIENCE.atAll), enter }),
    );
    held.calls--;
    held.bytes -= bytes;
    return isIn;
  }

  return async (call) => {
    if (!isTurning) {
      isTurning = true;
      shareEnds = performance.now() + SHARE_MS;
      void turn();
    }
    if (lines.size === 0 && performance.now() < shareEnds) {
      return true;
    }
    return held.calls < limits.calls && held.bytes + call.bytes <= limits.bytes && wait(call);
  };
}
