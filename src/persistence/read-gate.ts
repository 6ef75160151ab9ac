import { StorageError } from './errors.ts';

/** How many reads may wait. */
const WAITING_LIMIT = 8192;

/**
 * Lets at most `concurrency` reads run at once; the others wait in order of arrival, without a connection, until their
 * caller goes away. A pool's own queue would run them even then, and so fall further behind.
 */
export function createReadGate(concurrency: number, limit = WAITING_LIMIT) {
  const waiting = new Set<() => void>();
  let running = 0;

  async function enter(signal: AbortSignal): Promise<void> {
    if (running < concurrency) {
      running++;
      return;
    }
    if (waiting.size >= limit) {
      throw new StorageError('OVERLOADED', { cause: 'queue' });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      waiting.delete(resolve);
      reject(new StorageError('NOT_EXECUTED', {}));
    };
    waiting.add(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    await promise;
    signal.removeEventListener('abort', onAbort);
  }

  /** Hands its place on, so that nobody can get in between. */
  function leave(): void {
    const [next] = waiting;
    if (next === undefined) {
      running--;
    } else {
      waiting.delete(next);
      next();
    }
  }

  return async function pass<T>(signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    await enter(signal);
    try {
      return await read();
    } finally {
      leave();
    }
  };
}
