import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
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
  /** Writes wait for so long that one with this deadline would hardly be done in time. */
  readonly isOverloaded: (deadline: number) => boolean;
  readonly draining: AbortSignal;
  readonly log: Logger;
}

const LOG_EVERY_MS = 1000;

/** Whether calls of the method change something. */
export const writes = ({ idempotency }: DescMethod) => idempotency !== Idempotency.NO_SIDE_EFFECTS;

/**
 * Where all calls come in: none once `draining` was aborted, though those that were waiting then still do, and no write while
 * those before it wait for too long. Here a refusal costs the least, as nothing was made for the call, and what is spent on
 * calls that cannot be done in time is taken from those that can. It logs how many were refused, once a second: a line for
 * each would cost as much as refusing it.
 */
export function createEntrance({ passGate, isOverloaded, draining, log }: Entrance): Enter {
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

  const isHopeless = (call: EntranceCall) => call.writes && isOverloaded(call.deadline ?? Infinity);

  async function judge(call: EntranceCall): Promise<Refusal | undefined> {
    if (draining.aborted) {
      return 'DRAINING';
    }
    return isHopeless(call) || !(await passGate(call)) || isHopeless(call) ? 'OVERLOADED' : undefined;
  }

  return async (call) => {
    const reason = await judge(call);
    if (reason !== undefined) {
      note(reason);
    }
    return reason;
  };
}
