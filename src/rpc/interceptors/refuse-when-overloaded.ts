import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import type { Interceptor } from '@connectrpc/connect';
import type { Database } from '../../persistence/database.ts';
import { deadlineKey } from '../call-context.ts';
import { errorFor } from '../errors.ts';

/**
 * Turns writes away before they are read while those before them wait for too long: what is spent on calls that cannot be
 * done in time is taken from those that can.
 */
export function refuseWhenOverloaded(db: Database): Interceptor {
  return (next) => async (request) => {
    if (
      request.method.idempotency !== Idempotency.NO_SIDE_EFFECTS &&
      db.isOverloaded(request.contextValues.get(deadlineKey))
    ) {
      throw errorFor('OVERLOADED', { cause: 'queue' });
    }
    return next(request);
  };
}
