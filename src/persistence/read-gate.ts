import { isTooLong } from './delay.ts';
import { StorageError } from './errors.ts';
import type { Call } from './retry.ts';

/** How many reads may wait. */
const WAITING_LIMIT = 8192;

/**
 * Lets at most `concurrency` reads run at once; the others wait in order of arrival, without a connection, until their
 * caller goes away. A pool's own queue would run them even then, and so fall further behind.
 */
export function createReadGate(concurrency: number, limit = WAITING_LIMIT) {
  /** Since when, in milliseconds since 1970. */
  const waiting = new Map<() => void, number>();
  let running = 0;

  async function enter({ deadline, signal }: Call): Promise<void> {
    if (running < concurrency) {
      running++;
      return;
    }
    const queuedAt = Date.now();
    const [since = queuedAt] = waiting.values();
    if (waiting.size >= limit || isTooLong(queuedAt - since, { queuedAt, deadline })) {
      throw new StorageError('OVERLOADED', { cause: 'queue' });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      waiting.delete(resolve);
      reject(new StorageError('NOT_EXECUTED', {}));
    };
    waiting.set(resolve, queuedAt);
    signal.addEventListener('abort', onAbort, { once: true });
    await promise;
    signal.removeEventListener('abort', onAbort);
  }

  /** Hands its place on, so that nobody can get in between. */
  function leave(): void {
    const [next] = waiting.keys();
    if (next === undefined) {
      running--;
    } else {
      waiting.delete(next);
      next();
    }
  }

  return async function pass<T>(call: Call, read: () => Promise<T>): Promise<T> {
    await enter(call);
    try {
      return await read();
    } finally {
      leave();
    }
  };
}
