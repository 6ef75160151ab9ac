import type { MikroORM } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/sql';
import { type AppendedRows, createAppendedRows } from './appended-rows.ts';
import {
  type Chain,
  chainKey,
  type Dialect,
  type Query,
  type Rows,
  type SqlFragments,
  type VersionLock,
} from './dialects/dialect.ts';
import { StorageError } from './errors.ts';
import type { LaneJob } from './write-lanes.ts';
import { type Call, type Failure, RetriesExhausted, type RetryOptions, withRetries } from './retry.ts';

/** What reads the database. */
export interface Reader {
  readonly em: EntityManager;
  readonly sql: SqlFragments;
}

/** What the work of one transaction may use. It ends with the transaction, and another attempt gets a fresh one. */
export interface UnitOfWork extends Reader, AppendedRows {
  /** From 1. */
  readonly attempt: number;
  /** The database's time: of the locks of the chains, where the work is about chains. */
  readonly now: Date;
  /** Waits for the other writers of the student's row; answers the database's time. Take it before the first read. */
  readonly lockStudent: (districtId: string, studentId: string) => Promise<Date>;
  /**
   * Waits for the other writers of these versions. What the locks of the chains do not promise, this does: that what is
   * read of them afterwards stays as it is. Take it after the student's, and before the first read.
   */
  readonly lockIeps: (districtId: string, iepIds: readonly string[]) => Promise<void>;
  /** Tells those who listen for commits, as soon as this one is there. */
  readonly announce: (news: unknown) => void;
}

/** What became of one of several calls in a unit of work. A refused call does not hold the others up. */
export type Outcome<Result> = { readonly value: Result } | { readonly refusal: Error };

/** Work on chains that several calls may share. */
export interface SharedWork<Member, Result> {
  /**
   * What it reads first, by queries that are sent with the locks: that saves a round trip, and the event loop's turn. They
   * may be about further members, whose chains could not be locked.
   */
  readonly opening?: (sql: SqlFragments, members: readonly Member[]) => readonly Query[];
  /** One outcome for each member, in their order. `answers` are those of the opening. */
  readonly run: (
    unit: UnitOfWork,
    members: readonly Member[],
    answers: readonly Rows[],
  ) => Promise<readonly Outcome<Result>[]>;
}

/** What a call wants of a unit of work. */
export interface Task {
  /** The work, where calls may share it. */
  readonly kind: unknown;
  readonly bytes: number;
  readonly call: Call;
  /** Locked before the work begins. */
  readonly chain: Chain | undefined;
  readonly member: unknown;
  readonly work: SharedWork<unknown, unknown>;
}

/** A call that waits for its unit of work, or is in one. */
export interface Job extends Task, LaneJob {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Nothing stops its change any more, but a failure. */
  sealed: boolean;
  /** A COMMIT of its change is under way. */
  committing: boolean;
  /** A COMMIT of its change ended without an answer. */
  uncertain: boolean;
  /** Its caller is answered, and its change must not be committed any more. */
  abandoned: boolean;
}

export interface UnitsOptions {
  readonly orm: MikroORM;
  readonly dialect: Dialect;
  readonly versionLock: VersionLock;
  readonly retries: Pick<RetryOptions, 'budget' | 'onRetry'>;
  readonly onCommit: (news: readonly unknown[]) => void;
}

/** A caller went away before its change was on its way. */
class CallerGone extends Error {}

const NEVER = new AbortController().signal;

/**
 * Makes the function that works off a batch of jobs in one transaction, retried whole in a fresh one after a failure that
 * a retry can cure, and settles them. Where it may not wait, it answers the jobs whose chains another process holds.
 */
export function createUnits({ orm, dialect, versionLock, retries, onCommit }: UnitsOptions) {
  return async function runUnit(jobs: readonly Job[], mayWait: boolean): Promise<readonly Job[]> {
    const call = patienceOf(jobs);
    const { work } = jobs[0]!;

    async function attempt(number: number): Promise<readonly Job[]> {
      const present = jobs.filter((job) => !job.abandoned);
      if (present.length === 0) {
        return [];
      }
      const em = orm.em.fork() as EntityManager;
      const remainingMs = () => call.deadline - Date.now();
      try {
        await em.begin(dialect.transaction);
        const { now, locked, answers } = await lockChains(em, present, remainingMs());
        if (locked.length === 0) {
          await em.rollback();
          return present;
        }
        const lockStudent = (districtId: string, id: string) => dialect.lockStudent(em, districtId, id, remainingMs());
        const lockIeps = (districtId: string, ids: readonly string[]) => dialect.lockIeps(em, districtId, ids);
        const rows = createAppendedRows(em, dialect);
        const news: unknown[] = [];
        const announce = (one: unknown) => void news.push(one);
        const outcomes = await work.run(
          { em, sql: dialect.sql, attempt: number, now, ...rows, lockStudent, lockIeps, announce },
          locked.map(({ member }) => member),
          answers,
        );
        // From here on a caller who goes away does not hold up those who share the unit: it cannot know what became of its
        // change, so the last writes may be sent with the COMMIT. One that has a unit of its own can, up to the COMMIT.
        const isShared = locked.length > 1;
        if (isShared) {
          seal(locked);
        }
        await rows.flush();
        if (!isShared) {
          await dialect.send(em);
          seal(locked);
        }
        locked.forEach((job) => (job.committing = true));
        await em.commit();
        onCommit(news);
        locked.forEach((job, index) => settle(job, outcomes[index]!));
        return present.filter((job) => !locked.includes(job));
      } catch (error) {
        // The connection may be gone; what matters is the error that led here.
        await em.rollback().catch(() => undefined);
        if (error instanceof CallerGone) {
          return attempt(number);
        }
        throw error;
      }
    }

    async function lockChains(em: EntityManager, present: readonly Job[], timeoutMs: number) {
      const chains = new Map(present.flatMap(({ chain }) => (chain ? [[chainKey(chain), chain] as const] : [])));
      if (chains.size === 0) {
        return { now: new Date(), locked: present, answers: [] };
      }
      const members = present.map(({ member }) => member);
      const opening = work.opening?.(dialect.sql, members) ?? [];
      const patience = { timeoutMs, mayWait };
      const { now, keys, answers } = await dialect.lockChains(em, versionLock, [...chains.values()], patience, opening);
      return { now, locked: present.filter(({ chain }) => chain && keys.has(chainKey(chain))), answers };
    }

    function classify(error: unknown): Failure {
      const failure = dialect.classify(error);
      const sent = jobs.filter(({ committing }) => committing);
      jobs.forEach((job) => (job.sealed = job.committing = false));
      if (failure !== 'ambiguous') {
        return failure;
      }
      sent.forEach((job) => (job.uncertain = true));
      // Lost before COMMIT was sent, so the database has rolled it back.
      return sent.length > 0 ? failure : 'unreachable';
    }

    try {
      return await withRetries(attempt, { call, classify, ...retries });
    } catch (error) {
      if (jobs.length > 1 && !(error instanceof RetriesExhausted) && dialect.classify(error) === 'permanent') {
        // One of them is poison. It fails alone.
        for (const job of jobs) {
          await runUnit([job], true);
        }
      } else {
        jobs.forEach((job) => job.reject(storageErrorOf(error, job.uncertain, dialect.classify)));
      }
      return [];
    }
  };
}

/** Throws CallerGone when the change of a caller who was told that it is not would be. */
function seal(jobs: readonly Job[]): void {
  if (jobs.some(({ abandoned }) => abandoned)) {
    throw new CallerGone();
  }
  jobs.forEach((job) => (job.sealed = true));
}

function settle(job: Job, outcome: Outcome<unknown>): void {
  if ('value' in outcome) {
    job.resolve(outcome.value);
  } else {
    job.reject(outcome.refusal);
  }
}

/** As long as the most patient of the callers. */
export function patienceOf(callers: readonly { readonly call: Call }[]): Call {
  const [first, ...others] = callers;
  return others.length === 0
    ? first!.call
    : { deadline: Math.max(...callers.map(({ call }) => call.deadline)), signal: NEVER };
}

/** The driver's words stay in `cause`: they name tables and values. An error of the work itself is left as it is. */
export function storageErrorOf(error: unknown, uncertain: boolean, classify: (error: unknown) => Failure): unknown {
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
