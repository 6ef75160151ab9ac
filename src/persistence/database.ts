import type { EntityManager } from '@mikro-orm/sql';
import { type Chain, chainKey, type VersionLock } from './dialects/dialect.ts';
import { dialectOf } from './dialects/dialects.ts';
import { StorageError } from './errors.ts';
import { migrateSchema, requireSchema } from './migrate.ts';
import { createReadGate } from './read-gate.ts';
import { type Call, createRetryBudget, type Retry, withRetries } from './retry.ts';
import { createSharedReads, type SharedRead } from './shared-reads.ts';
import {
  createUnits,
  type Job,
  type Reader,
  type SharedWork,
  storageErrorOf,
  type Task,
  type UnitOfWork,
} from './unit-of-work.ts';
import { createWriteLanes, type WriteQueue } from './write-lanes.ts';

export interface DatabaseOptions {
  /** `postgresql://…`, `sqlite:FILE` or `sqlite::memory:`. */
  readonly url: string;
  /** Connections to PostgreSQL. */
  readonly poolSize: number;
  readonly versionLock: VersionLock;
  /** `auto` brings the schema up to date; `off` refuses an older one. */
  readonly migrate: 'auto' | 'off';
  /** `lockFailed`: another writer took a version although its chain was locked. */
  readonly onRetry?: (retry: Retry, lockFailed: boolean) => void;
}

/** Is told what units of work have announced, in order. */
type CommitListener = (news: readonly unknown[]) => void;

export interface Database {
  /**
   * Runs `work` in a transaction of its own, flushes and commits. Units of one lane run one after the other. After a
   * failure that a retry can cure `work` runs again in a fresh unit, so it must keep nothing between attempts. What it
   * throws itself rolls back and reaches the caller; what the database does, as a StorageError.
   */
  unitOfWork<T>(lane: string, call: Call, work: (unit: UnitOfWork) => Promise<T>): Promise<T>;
  /**
   * Like unitOfWork, for work on a chain, which is locked first. Calls that wait share a unit of work: `work` then gets
   * several members, of one or of several chains, in order of arrival. `bytes` is about what the member writes.
   */
  inChain<Member, Result>(
    chain: Chain,
    call: Call,
    work: SharedWork<Member, Result>,
    member: Member,
    bytes: number,
  ): Promise<Result>;
  /** Where writes wait for their unit of work. */
  readonly writeQueue: WriteQueue;
  /** Runs `work` on committed data, outside a transaction, retried like a unit of work. */
  read<T>(call: Call, work: (reader: Reader) => Promise<T>): Promise<T>;
  /** Like read, for one key of what `work` reads for many: calls that wait share a statement. */
  readTogether<Key, Result>(call: Call, work: SharedRead<Key, Result>, key: Key): Promise<Result>;
  /** Calls `listener` after each commit of this process with what was announced in it, until what it answers is called. */
  onCommit(listener: CommitListener): () => void;
  /** Asks the database for a sign of life. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Throws the driver's error when the database cannot be reached, and an error that says so when it lacks tables. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const dialect = dialectOf(options.url);
  const locks = options.versionLock !== 'none';
  const onRetry = (retry: Retry) => options.onRetry?.(retry, locks && dialect.isVersionTaken(retry.error));
  const retries = { budget: createRetryBudget(), onRetry };
  const connections = await dialect.connect(options.url, options.poolSize);
  const commitListeners = new Set<CommitListener>();
  const runUnit = createUnits({
    orm: connections.writer,
    dialect,
    versionLock: options.versionLock,
    retries,
    onCommit: (news) => commitListeners.forEach((listener) => listener(news)),
  });
  const lanes = createWriteLanes(dialect.writers(options.poolSize), runUnit);
  const passGate = createReadGate(dialect.readers(options.poolSize));

  const reader = () => connections.reader.em.fork() as EntityManager;
  const ready = async () => void (await (connections.probe.em.fork() as EntityManager).execute('select 1'));
  try {
    await (options.migrate === 'auto' ? migrateSchema : requireSchema)(connections, dialect);
  } catch (error) {
    await connections.close();
    throw error;
  }

  async function read<T>(call: Call, work: (reader: Reader) => Promise<T>): Promise<T> {
    const attempt = () => passGate(call, () => work({ em: reader(), sql: dialect.sql }));
    // Reading twice does no harm, whatever became of the first time.
    const classify = (error: unknown) => {
      const failure = dialect.classify(error);
      return failure === 'ambiguous' ? 'unreachable' : failure;
    };
    const result = withRetries(attempt, { call, classify, ...retries });
    try {
      return await unlessAborted(call.signal, result, () => new StorageError('NOT_EXECUTED', {}));
    } catch (error) {
      throw storageErrorOf(error, false, classify);
    }
  }

  const shareRead = createSharedReads(read);

  async function submit(key: string, task: Task) {
    const lane = dialect.laneOf(key);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const queued: Job = {
      ...task,
      queuedAt: Date.now(),
      deadline: task.call.deadline,
      resolve,
      reject,
      sealed: false,
      committing: false,
      uncertain: false,
      abandoned: false,
    };
    lanes.enqueue(lane, queued);
    return unlessAborted(task.call.signal, promise, () => {
      if (!lanes.cancel(lane, queued) && (queued.sealed || queued.uncertain)) {
        return new StorageError('OUTCOME_UNKNOWN', { deadline: true });
      }
      // From now on its change is not committed, so the answer is exact.
      queued.abandoned = true;
      return new StorageError('NOT_EXECUTED', {});
    });
  }

  return {
    unitOfWork: <T>(lane: string, call: Call, work: (unit: UnitOfWork) => Promise<T>) =>
      submit(lane, {
        kind: undefined,
        bytes: 0,
        call,
        chain: undefined,
        member: undefined,
        work: { run: async (unit) => [{ value: await work(unit) }] },
      }) as Promise<T>,

    inChain: <Member, Result>(
      chain: Chain,
      call: Call,
      work: SharedWork<Member, Result>,
      member: Member,
      bytes: number,
    ) =>
      submit(chainKey(chain), {
        kind: work,
        bytes,
        call,
        chain,
        member,
        work: work as SharedWork<unknown, unknown>,
      }) as Promise<Result>,

    writeQueue: lanes,

    read,

    readTogether: async (call, work, key) =>
      unlessAborted(call.signal, shareRead(call, work, key), () => new StorageError('NOT_EXECUTED', {})),

    onCommit(listener) {
      commitListeners.add(listener);
      return () => void commitListeners.delete(listener);
    },

    ready,
    close: () => connections.close(),
  };
}

/** The result, or what `abandon` answers as soon as the signal aborts. */
async function unlessAborted<T>(signal: AbortSignal, result: Promise<T>, abandon: () => Error): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(abandon());
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([result, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
