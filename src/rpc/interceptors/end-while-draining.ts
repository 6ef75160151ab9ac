import type { Interceptor } from '@connectrpc/connect';
import { errorFor } from '../errors.ts';
import { withFailures } from './with-failures.ts';

/**
 * Refuses calls that arrive after `draining` was aborted, and ends streams then: connections stay open for the calls in
 * flight, but a stream has no end of its own.
 */
export function endWhileDraining(draining: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (draining.aborted) {
      throw errorFor('DRAINING', {});
    }
    const response = await next(
      request.stream ? { ...request, signal: AbortSignal.any([request.signal, draining]) } : request,
    );
    const replace = (error: unknown) => (draining.aborted ? errorFor('DRAINING', {}, error) : error);
    return response.stream ? { ...response, message: withFailures(response.message, replace) } : response;
  };
}
