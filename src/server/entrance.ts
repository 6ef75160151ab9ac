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

/** Answers when the call is let in, or why it is not. */
export type Enter = (call: GateCall) => Promise<Refusal | undefined>;

export interface Entrance {
  readonly passGate: (call: GateCall) => boolean | Promise<boolean>;
  readonly draining: AbortSignal;
  readonly log: Logger;
}

const LOG_EVERY_MS = 1000;

/** Whether calls of the method change something. */
export const writes = ({ idempotency }: DescMethod) => idempotency !== Idempotency.NO_SIDE_EFFECTS;

/**
 * Where all calls come in: none once `draining` was aborted, though those that were waiting then still do, and none that the
 * gate refuses. Here a refusal costs the least, as nothing was made for the call, and what is spent on calls that cannot be
 * done in time is taken from those that can. It logs how many were refused, once a second: a line for each would cost as
 * much as refusing it.
 */
export function createEntrance({ passGate, draining, log }: Entrance): Enter {
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

  async function judge(call: GateCall): Promise<Refusal | undefined> {
    if (draining.aborted) {
      return 'DRAINING';
    }
    const isIn = await passGate(call);
    return isIn ? undefined : 'OVERLOADED';
  }

  return async (call) => {
    const reason = await judge(call);
    if (reason !== undefined) {
      note(reason);
    }
    return reason;
  };
}
