import type { Interceptor } from '@connectrpc/connect';
import { clientKey, deadlineKey } from '../call-context.ts';
import { errorFor } from '../errors.ts';
import { createTurnGate } from '../turn-gate.ts';

/** One, as the process has one event loop. */
const passGate = createTurnGate();

/** Lets requests in, some in each turn of the event loop. Whose caller went away meanwhile is not looked at. */
export const takeTurns: Interceptor = (next) => async (request) => {
  const { contextValues } = request;
  await passGate(contextValues.get(clientKey), contextValues.get(deadlineKey));
  if (request.signal.aborted) {
    throw errorFor('NOT_EXECUTED', {});
  }
  return next(request);
};
