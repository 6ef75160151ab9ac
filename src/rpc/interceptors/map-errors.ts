import type { Interceptor } from '@connectrpc/connect';
import { requestIdKey } from '../call-context.ts';
import { toConnectError } from '../errors.ts';
import { withFailures } from './with-failures.ts';

/** Turns whatever is thrown below into an error of the table. */
export const mapErrors: Interceptor = (next) => async (request) => {
  const map = (error: unknown) => toConnectError(error, request.contextValues.get(requestIdKey));
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: withFailures(response.message, map) } : response;
  } catch (error) {
    throw map(error);
  }
};
