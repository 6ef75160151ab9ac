import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { isTooLong } from '../persistence/delay.ts';
import type { WriteQueue } from '../persistence/write-lanes.ts';
import { createTurnLines } from './turn-lines.ts';

/** What requests may take of one turn of the event loop, before what the database has answered is looked at. */
const SHARE_MS = 2;
/** How soon it is looked whether there is room for writes again, where nothing else waits. */
const LOOK_MS = 2;

/**
 * A call is turned away on arrival where it would wait for longer than the lesser share of its time: what waits for long is
 * copied by every collection, at the cost of those that are let in. One that has waited, or will, for the greater share all
 * the same would not be done in time, and is refused. Those of a burst arrive before its queue stands, and are let in one
 * after the other while it does.
 */
const PATIENCE = {
  reads: { onArrival: 0.1, atAll: 0.5 },
  writes: { onArrival: 0.04, atAll: 0.15 },
};

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
  /** It changes something. */
  readonly writes: boolean;
}

type Kind = keyof typeof PATIENCE;

interface Waiting {
  /** Both in milliseconds since 1970. */
  readonly queuedAt: number;
  readonly deadline: number;
  readonly bytes: number;
  readonly enter: (isIn: boolean) => void;
}

/** Until everything that can go on has done so. */
const settled = () => new Promise<void>((resolve) => process.nextTick(resolve));

/**
 * Lets requests in, some in each turn of the event loop. Else a flood of them would be read, and refused, before the next
 * answer of the database is, and those that were taken on would never be done. Writes wait here, too, while enough of them
 * wait inside: here a call is little more than its bytes. Clients take turns, so that one that sends many at once holds up
 * nobody but itself. Answers when it is the call's turn: true = it is let in, false = it is refused.
 */
export function createTurnGate(
  writeQueue: WriteQueue,
  limits: GateLimits = LIMITS,
): (call: GateCall) => boolean | Promise<boolean> {
  const lines = { reads: createTurnLines<Waiting>(), writes: createTurnLines<Waiting>() };
  const held = { calls: 0, bytes: 0 };
  let isTurning = false;
  let shareEnds = 0;
  let last: Kind = 'writes';

  const isIdle = () => lines.reads.isEmpty() && lines.writes.isEmpty();
  const hasRoom = (kind: Kind) => kind === 'reads' || !writeQueue.isFull();
  const mayTake = (kind: Kind) => !lines[kind].isEmpty() && hasRoom(kind);

  /** Reads and writes take turns. */
  function nextKind(): Kind | undefined {
    const other = last === 'reads' ? 'writes' : 'reads';
    return mayTake(other) ? other : mayTake(last) ? last : undefined;
  }

  /** How long a call would wait before its work begins, about. */
  const expectedMs = (kind: Kind, gateMs: number) => (kind === 'writes' ? gateMs + writeQueue.waitMs() : gateMs);

  function admit(kind: Kind): void {
    last = kind;
    const { bytes, enter, ...call } = lines[kind].take()!;
    held.calls--;
    held.bytes -= bytes;
    enter(!isTooLong(expectedMs(kind, Date.now() - call.queuedAt), call, PATIENCE[kind].atAll));
  }

  async function turn(): Promise<void> {
    do {
      const isStopped = nextKind() === undefined && !isIdle();
      await (isStopped ? sleep(LOOK_MS) : setImmediate());
      shareEnds = performance.now() + SHARE_MS;
      for (let kind = nextKind(); kind !== undefined && performance.now() < shareEnds; kind = nextKind()) {
        admit(kind);
        await settled();
      }
    } while (!isIdle());
    isTurning = false;
  }

  return ({ client, deadline = Infinity, bytes, writes }) => {
    const kind = writes ? 'writes' : 'reads';
    const queue = lines[kind];
    const queuedAt = Date.now();
    if (isTooLong(expectedMs(kind, queue.waitMs(client)), { queuedAt, deadline }, PATIENCE[kind].onArrival)) {
      return false;
    }
    if (!isTurning) {
      isTurning = true;
      shareEnds = performance.now() + SHARE_MS;
      void turn();
    }
    if (queue.isEmpty() && performance.now() < shareEnds && hasRoom(kind)) {
      return true;
    }
    if (held.calls >= limits.calls || held.bytes + bytes > limits.bytes) {
      return false;
    }
    held.calls++;
    held.bytes += bytes;
    return new Promise((enter) => queue.add(client, { queuedAt, deadline, bytes, enter }));
  };
}
