import type { Interceptor } from '@connectrpc/connect';
import { requestIdKey } from '../call-context.ts';
import { toConnectError } from '../errors.ts';

/** Turns whatever is thrown below into an error of the table. */
export const mapErrors: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    throw toConnectError(error, request.contextValues.get(requestIdKey));
  }
};
