import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { isTooLong } from '../persistence/delay.ts';
import { errorFor } from '../rpc/errors.ts';
import type { Logger } from '../log.ts';
import type { GateCall } from './turn-gate.ts';

/** What a call gets that is not let in. */
export const REFUSALS = {
  OVERLOADED: () => errorFor('OVERLOADED', { cause: 'queue' }),
  DRAINING: () => errorFor('DRAINING', {}),
};

type Refusal = keyof typeof REFUSALS;

/** A call as the entrance looks at it. */
export interface EntranceCall extends GateCall {
  /** It changes something. */
  readonly writes: boolean;
}

/** Answers when the call is let in, or why it is not. */
export type Enter = (call: EntranceCall) => Promise<Refusal | undefined>;

export interface Entrance {
  readonly passGate: (call: GateCall) => Promise<boolean>;
  /** How long a write that comes now will wait for its unit of work, about. */
  readonly writeWaitMs: () => number;
  readonly draining: AbortSignal;
  readonly log: Logger;
}

const LOG_EVERY_MS = 1000;
/**
 * The share of its time for which a write may be made to wait: on arrival, and once it was let in. What waits for long is
 * copied by every collection, so while a queue stands it had better be short. Those of a burst have arrived before it does,
 * and are let in one after the other while it stands.
 */
const PATIENCE = { onArrival: 0.05, atAll: 0.15 };

/** Whether calls of the method change something. */
export const writes = ({ idempotency }: DescMethod) => idempotency !== Idempotency.NO_SIDE_EFFECTS;

/**
 * Where all calls come in: none once `draining` was aborted, though those that were waiting then still do, and no write while
 * those before it wait for too long. Here a refusal costs the least, as nothing was made for the call, and what is spent on
 * calls that cannot be done in time is taken from those that can. It logs how many were refused, once a second: a line for
 * each would cost as much as refusing it.
 */
export function createEntrance({ passGate, writeWaitMs, draining, log }: Entrance): Enter {
  const refused = new Map<Refusal, number>();

  function tell(): void {
    refused.forEach((calls, reason) => log.warn({ reason, calls }, 'refused'));
    refused.clear();
  }

  function note(reason: Refusal): void {
    if (refused.size === 0) {
      setTimeout(tell, LOG_EVERY_MS).unref();
    }
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
  }

  const isHopeless = ({ writes: isWrite, deadline = Infinity }: EntranceCall, patience: number) =>
    isWrite && isTooLong(writeWaitMs(), { queuedAt: Date.now(), deadline }, patience);

  async function judge(call: EntranceCall): Promise<Refusal | undefined> {
    if (draining.aborted) {
      return 'DRAINING';
    }
    const isRefused =
      isHopeless(call, PATIENCE.onArrival) || !(await passGate(call)) || isHopeless(call, PATIENCE.atAll);
    return isRefused ? 'OVERLOADED' : undefined;
  }

  return async (call) => {
    const reason = await judge(call);
    if (reason !== undefined) {
      note(reason);
    }
    return reason;
  };
}
