import type { EntityManager } from '@mikro-orm/sql';
import { type Chain, dialectOf, type VersionLock } from './dialects.ts';
import { StorageError } from './errors.ts';
import { type Call, type Failure, RetriesExhausted, type Retry, withRetries } from './retry.ts';
import { createWriteLanes } from './write-lanes.ts';

export interface DatabaseOptions {
  /** `postgresql://…`, `sqlite:FILE` or `sqlite::memory:`. */
  readonly url: string;
  /** Connections to PostgreSQL. */
  readonly poolSize: number;
  readonly versionLock: VersionLock;
  readonly onRetry?: (retry: Retry) => void;
}

/** What the work of one transaction may use. It ends with the transaction, and another attempt gets a fresh one. */
export interface UnitOfWork {
  readonly em: EntityManager;
  /** From 1. */
  readonly attempt: number;
  /** Waits for the other writers of the chain; answers the database's time. Take it before the first read. */
  readonly lockChain: (chain: Chain) => Promise<Date>;
  /** Waits for the other writers of the student's row; answers the database's time. */
  readonly lockStudent: (districtId: string, studentId: string) => Promise<Date>;
}

interface Reader {
  readonly em: EntityManager;
  /** SQL that is true where the JSON array in `column` holds the string of its one parameter. */
  readonly includes: (column: string) => string;
}

export interface Database {
  /**
   * Runs `work` in a transaction, flushes and commits. Units of one lane run one after the other. After a failure that a
   * retry can cure `work` runs again in a fresh unit, so it must keep nothing between attempts. What it throws itself
   * rolls back and reaches the caller; what the database does, as a StorageError.
   */
  unitOfWork<T>(lane: string, call: Call, work: (unit: UnitOfWork) => Promise<T>): Promise<T>;
  /** Runs `work` on committed data, outside a transaction, retried like a unit of work. */
  read<T>(call: Call, work: (reader: Reader) => Promise<T>): Promise<T>;
  /** Asks the database for a sign of life. */
  ready(): Promise<void>;
  close(): Promise<void>;
}

/** Throws the driver's error when the database cannot be reached. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { onRetry } = options;
  const dialect = dialectOf(options.url);
  const connections = await dialect.connect(options.url, options.poolSize);
  const lanes = createWriteLanes(dialect.writers(options.poolSize));

  const forkOf = (orm: typeof connections.writer) => orm.em.fork() as EntityManager;
  const ready = async () => void (await forkOf(connections.reader).execute('select 1'));
  try {
    await ready();
  } catch (error) {
    await connections.close();
    throw error;
  }

  return {
    async unitOfWork(lane, call, work) {
      /** Whether a COMMIT is under way, and whether one has ended without an answer. */
      let committing = false;
      let uncertain = false;
      let abandoned = false;

      async function attempt(number: number) {
        const em = forkOf(connections.writer);
        const remainingMs = () => call.deadline - Date.now();
        try {
          await em.begin(dialect.transaction);
          const result = await work({
            em,
            attempt: number,
            lockChain: (chain) => dialect.lockChain(em, options.versionLock, chain, remainingMs()),
            lockStudent: (districtId, id) => dialect.lockStudent(em, districtId, id, remainingMs()),
          });
          await em.flush();
          if (abandoned) {
            throw new StorageError('NOT_EXECUTED', {});
          }
          committing = true;
          await em.commit();
          return result;
        } catch (error) {
          // The connection may be gone; what matters is the error that led here.
          await em.rollback().catch(() => undefined);
          throw error;
        }
      }

      function classify(error: unknown): Failure {
        const failure = dialect.classify(error);
        const sent = committing;
        committing = false;
        if (failure === 'ambiguous' && !sent) {
          // Lost before COMMIT was sent, so the database has rolled it back.
          return 'unreachable';
        }
        uncertain ||= failure === 'ambiguous';
        return failure;
      }

      const ticket = lanes.enqueue(dialect.laneOf(lane), () =>
        withRetries(attempt, { call, classify, ...(onRetry && { onRetry }) }),
      );
      const abandon = () => {
        abandoned = true;
        // Once abandoned no COMMIT is sent any more, so the answer is exact unless one already was.
        return !ticket.cancel() && (committing || uncertain)
          ? new StorageError('OUTCOME_UNKNOWN', { deadline: true })
          : new StorageError('NOT_EXECUTED', {});
      };
      try {
        return await unlessAborted(call.signal, ticket.result, abandon);
      } catch (error) {
        throw storageErrorOf(error, uncertain, dialect.classify);
      }
    },

    async read(call, work) {
      const attempt = () => work({ em: forkOf(connections.reader), includes: dialect.includes });
      // Reading twice does no harm, whatever became of the first time.
      const classify = (error: unknown) => {
        const failure = dialect.classify(error);
        return failure === 'ambiguous' ? 'unreachable' : failure;
      };
      const result = withRetries(attempt, { call, classify, ...(onRetry && { onRetry }) });
      try {
        return await unlessAborted(call.signal, result, () => new StorageError('NOT_EXECUTED', {}));
      } catch (error) {
        throw storageErrorOf(error, false, classify);
      }
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

/** The driver's words stay in `cause`: they name tables and values. An error of the work itself is left as it is. */
function storageErrorOf(error: unknown, uncertain: boolean, classify: (error: unknown) => Failure): unknown {
  const exhausted = error instanceof RetriesExhausted ? error : undefined;
  const failure = exhausted?.failure ?? classify(error);
  if (uncertain && (exhausted !== undefined || failure !== 'permanent')) {
    return new StorageError('OUTCOME_UNKNOWN', { deadline: exhausted?.stoppedBy === 'deadline' }, error);
  }
  switch (failure) {
    case 'conflict':
      return exhausted?.stoppedBy === 'deadline'
        ? new StorageError('NOT_EXECUTED', {}, error)
        : new StorageError('VERSION_CONTENTION', { attempts: exhausted?.attempts ?? 1 }, error);
    case 'unreachable':
    case 'ambiguous':
    case 'capacity':
      return new StorageError('DATABASE_UNAVAILABLE', {}, error);
    case 'busy':
      return new StorageError('OVERLOADED', { cause: 'pool' }, error);
    case 'permanent':
      return error;
  }
}
