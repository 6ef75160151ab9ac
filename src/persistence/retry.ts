import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What a failed attempt means for the next one:
 * - `conflict`: another writer got in between; surely not committed.
 * - `unreachable`: the database was not there; surely not committed.
 * - `ambiguous`: the connection was lost while the commit was under way.
 * - `busy`: no connection came free in time.
 * - `capacity`: the database has no room left.
 * - `permanent`: the same call would fail again.
 */
export type Failure = 'conflict' | 'unreachable' | 'ambiguous' | 'busy' | 'capacity' | 'permanent';

/** Delays double from `baseMs` up to `capMs`; `attempts` counts the first one. */
export interface RetryPolicy {
  readonly baseMs: number;
  readonly capMs: number;
  readonly attempts: number;
}

/** A failure without a policy is not retried. 30 attempts: with 6, up to 31 of 100 callers lost without the lock. */
export const RETRY_POLICIES: Partial<Record<Failure, RetryPolicy>> = {
  conflict: { baseMs: 5, capMs: 250, attempts: 30 },
  unreachable: { baseMs: 50, capMs: 1000, attempts: 4 },
  ambiguous: { baseMs: 50, capMs: 1000, attempts: 4 },
};

/**
 * What a process may spend on retries while the database is away: each takes a token, and ten successes earn one. So
 * retries do not multiply an outage, and there are enough for a connection that is lost now and then.
 */
export interface RetryBudget {
  /** Whether there was a token left. */
  spend(): boolean;
  earn(): void;
}

const BUDGET_TOKENS = 100;
const EARNED_BY_SUCCESS = 0.1;
/** Conflicts cost the database little and are over soon; they are bounded by their attempts alone. */
const BUDGETED: readonly Failure[] = ['unreachable', 'ambiguous'];

export function createRetryBudget(): RetryBudget {
  let tokens = BUDGET_TOKENS;
  return {
    spend() {
      const left = tokens >= 1;
      tokens -= left ? 1 : 0;
      return left;
    },
    earn: () => void (tokens = Math.min(BUDGET_TOKENS, tokens + EARNED_BY_SUCCESS)),
  };
}

/** How long a caller waits, and whether it still does. */
export interface Call {
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** Aborted at the deadline, and when the caller goes away. */
  readonly signal: AbortSignal;
}

export interface Retry {
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly failure: Failure;
  readonly delayMs: number;
  readonly error: unknown;
}

export interface RetryOptions {
  readonly call: Call;
  readonly classify: (error: unknown) => Failure;
  readonly onRetry?: (retry: Retry) => void;
  readonly budget?: RetryBudget;
  readonly policies?: Partial<Record<Failure, RetryPolicy>>;
  readonly random?: () => number;
  readonly clock?: { now(): number; sleep(ms: number, signal: AbortSignal): Promise<void> };
}

export type StoppedBy = 'attempts' | 'budget' | 'deadline';

/** No further attempt is worth making. `cause` is the last attempt's error. */
export class RetriesExhausted extends Error {
  readonly attempts: number;
  readonly failure: Failure;
  readonly stoppedBy: StoppedBy;

  constructor(attempts: number, failure: Failure, stoppedBy: StoppedBy, cause: unknown) {
    super(`gave up after ${attempts} attempts`, { cause });
    this.attempts = attempts;
    this.failure = failure;
    this.stoppedBy = stoppedBy;
  }
}

const systemClock = {
  now: () => Date.now(),
  sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
};

/** Delay before retry number `retry`, from 1: full jitter, so that those who collided do not meet again. */
function backoffMs({ baseMs, capMs }: RetryPolicy, retry: number, random: () => number): number {
  return random() * Math.min(capMs, baseMs * 2 ** (retry - 1));
}

/**
 * Runs `attempt` (numbered from 1) until it succeeds. A failure that no retry can cure is thrown as it is; when the
 * attempts of its class or the budget are used up, or the next delay would pass the caller's deadline, RetriesExhausted.
 */
export async function withRetries<T>(attempt: (number: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { call, classify, onRetry, budget, policies = RETRY_POLICIES, random = Math.random } = options;
  const { clock = systemClock } = options;
  for (let number = 1; ; number++) {
    try {
      const result = await attempt(number);
      budget?.earn();
      return result;
    } catch (error) {
      const failure = classify(error);
      const policy = policies[failure];
      if (policy === undefined) {
        throw error;
      }
      if (number >= policy.attempts) {
        throw new RetriesExhausted(number, failure, 'attempts', error);
      }
      const delayMs = backoffMs(policy, number, random);
      if (call.signal.aborted || clock.now() + delayMs >= call.deadline) {
        throw new RetriesExhausted(number, failure, 'deadline', error);
      }
      if (BUDGETED.includes(failure) && budget?.spend() === false) {
        throw new RetriesExhausted(number, failure, 'budget', error);
      }
      onRetry?.({ attempt: number, failure, delayMs, error });
      try {
        await clock.sleep(delayMs, call.signal);
      } catch {
        throw new RetriesExhausted(number, failure, 'deadline', error);
      }
    }
  }
}
