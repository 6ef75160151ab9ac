import { setImmediate } from 'node:timers/promises';
import { createPaceGauge, foreseenMs, isTooLong } from '../persistence/delay.ts';

/** What requests may take of one turn of the event loop, before what the database has answered is looked at. */
const SHARE_MS = 2;
/**
 * A call is turned away on arrival where it would wait for longer than the lesser share of its time: what waits for long is
 * copied by every collection, at the cost of those that are let in. One that has waited for the greater share all the same
 * would not be done in time, and is refused.
 */
const PATIENCE = { onArrival: 0.1, atAll: 0.5 };

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
  readonly queuedAt: number;
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
  const pace = createPaceGauge();
  let isTurning = false;
  let shareEnds = 0;

  function admitNext(): void {
    const [[client, line]] = lines as Iterable<[unknown, Waiting[]]> as [[unknown, Waiting[]]];
    const { refusedAt, enter } = line.shift()!;
    lines.delete(client);
    if (line.length > 0) {
      lines.set(client, line);
    }
    enter(Date.now() <= refusedAt);
    pace.note(1);
  }

  /** How long a call of the client would wait, about: clients take turns, so one without a line waits for one. */
  function expectedMs(client: unknown): number {
    const own = lines.get(client);
    if (own === undefined) {
      return 0;
    }
    const before = lines.values().reduce((calls, line) => calls + Math.min(line.length, own.length + 1), 0);
    return foreseenMs(before, pace.read(), Date.now() - own[0]!.queuedAt);
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
    const line = lines.get(client) ?? [];
    if (lines.size === 0) {
      pace.begin();
    }
    lines.set(client, line);
    held.calls++;
    held.bytes += bytes;
    const isIn = await new Promise<boolean>((enter) =>
      line.push({ queuedAt: now, refusedAt: now + (deadline - now) * PATIENCE.atAll, enter }),
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
    const isFull = held.calls >= limits.calls || held.bytes + call.bytes > limits.bytes;
    const queuedAt = Date.now();
    const { client, deadline = Infinity } = call;
    return !isFull && !isTooLong(expectedMs(client), { queuedAt, deadline }, PATIENCE.onArrival) && wait(call);
  };
}
