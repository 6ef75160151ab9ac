import type { Logger } from '../log.ts';
import type { PassGate } from './turn-gate.ts';

const EVERY_MS = 1000;

/** The same gate. It logs how many calls it refuses, once a second: a line for each would cost as much as refusing it. */
export function logRefusals(passGate: PassGate, log: Logger): PassGate {
  let refused = 0;
  const tell = () => {
    log.warn({ refused }, 'overloaded');
    refused = 0;
  };
  return async (call) => {
    const isIn = await passGate(call);
    if (!isIn && refused++ === 0) {
      setTimeout(tell, EVERY_MS).unref();
    }
    return isIn;
  };
}
