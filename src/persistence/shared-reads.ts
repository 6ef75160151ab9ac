import { StorageError } from './errors.ts';
import type { Call } from './retry.ts';
import { patienceOf, type Reader } from './unit-of-work.ts';

/** A read that several calls may share: one result for each key, in their order. */
export type SharedRead<Key, Result> = (reader: Reader, keys: readonly Key[]) => Promise<readonly Result[]>;

type Read = <T>(call: Call, work: (reader: Reader) => Promise<T>) => Promise<T>;

interface Waiting {
  readonly call: Call;
  readonly key: unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** How many keys one statement takes, and how many calls may wait. */
const LIMITS = { keys: 256, waiting: 8192 };

/**
 * Lets calls that ask for the same kind of thing share a statement: the first runs at once, and those that arrive while it
 * runs go together in the next. A kind is known by its function.
 */
export function createSharedReads(read: Read, limits = LIMITS) {
  /** What waits behind the read under way, of each kind that has one. */
  const behind = new Map<unknown, Waiting[]>();

  async function serve(work: SharedRead<unknown, unknown>, batch: readonly Waiting[]): Promise<void> {
    try {
      const keys = batch.map(({ key }) => key);
      const results = await read(patienceOf(batch), (reader) => work(reader, keys));
      batch.forEach(({ resolve }, index) => resolve(results[index]));
    } catch (error) {
      batch.forEach(({ reject }) => reject(error));
    }
    const waiting = behind.get(work)!.filter(({ call }) => !call.signal.aborted);
    if (waiting.length === 0) {
      behind.delete(work);
    } else {
      behind.set(work, waiting.slice(limits.keys));
      void serve(work, waiting.slice(0, limits.keys));
    }
  }

  return <Key, Result>(call: Call, work: SharedRead<Key, Result>, key: Key): Promise<Result> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiting = behind.get(work);
    if (waiting !== undefined && waiting.length >= limits.waiting) {
      throw new StorageError('OVERLOADED', { cause: 'queue' });
    }
    if (waiting === undefined) {
      behind.set(work, []);
      void serve(work as SharedRead<unknown, unknown>, [{ call, key, resolve, reject }]);
    } else {
      waiting.push({ call, key, resolve, reject });
    }
    return promise as Promise<Result>;
  };
}
