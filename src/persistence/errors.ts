/** Why the database layer gave up, with what a caller needs to know about it. The driver's own error is the `cause`. */
export interface StorageFacts {
  /** Other writers kept getting in between. Nothing was written. */
  VERSION_CONTENTION: { attempts: number };
  /** More work than the service can take. Nothing was written. */
  OVERLOADED: { cause: 'pool' | 'queue' };
  /** The caller's deadline passed, or the caller went away, before anything was written. */
  NOT_EXECUTED: Record<string, never>;
  /** The caller's deadline passed, or the connection was lost, while the commit was under way. */
  OUTCOME_UNKNOWN: { deadline: boolean };
  /** The database cannot be reached, or has no room. Nothing was written. */
  DATABASE_UNAVAILABLE: Record<string, never>;
}

export type StorageReason = keyof StorageFacts;

export class StorageError<R extends StorageReason = StorageReason> extends Error {
  readonly reason: R;
  readonly facts: StorageFacts[R];

  constructor(reason: R, facts: StorageFacts[R], cause?: unknown) {
    super(reason, { cause });
    this.reason = reason;
    this.facts = facts;
  }
}
