import type { Interceptor } from '@connectrpc/connect';
import { errorFor } from '../errors.ts';
import { withFailures } from './with-failures.ts';

/** Ends streams once `draining` was aborted: connections stay open for the calls in flight, but a stream has no end of its own. */
export function endStreams(draining: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (!request.stream) {
      return next(request);
    }
    const response = await next({ ...request, signal: AbortSignal.any([request.signal, draining]) });
    const replace = (error: unknown) => (draining.aborted ? errorFor('DRAINING', {}, error) : error);
    return response.stream ? { ...response, message: withFailures(response.message, replace) } : response;
  };
}
