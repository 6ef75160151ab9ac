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

const LOG_EVERY_MS = 1000;

/**
 * Where all calls come in: none once `draining` was aborted, though those that were waiting then still do. It logs how many
 * were refused, once a second: a line for each would cost as much as refusing it.
 */
export function createEntrance(
  passGate: (call: GateCall) => Promise<boolean>,
  draining: AbortSignal,
  log: Logger,
): Enter {
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

  return async (call) => {
    const reason = draining.aborted ? 'DRAINING' : (await passGate(call)) ? undefined : 'OVERLOADED';
    if (reason !== undefined) {
      note(reason);
    }
    return reason;
  };
}
