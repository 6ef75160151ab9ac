import type { Interceptor } from '@connectrpc/connect';
import { errorFor } from '../errors.ts';

/** Refuses calls that arrive after `draining` was aborted: connections stay open for those in flight. */
export function refuseWhileDraining(draining: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (draining.aborted) {
      throw errorFor('DRAINING', {});
    }
    return next(request);
  };
}
