/** A field that breaks a rule: its path from the request or from the document down, and what would be right. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** What happened to an IEP since an etag was read. */
interface EditsSince {
  /** The current one. */
  readonly revision: number;
  readonly changedPaths: readonly string[];
  readonly changedBy: readonly string[];
}

/** Why a call is refused, with the facts that belong to each reason. */
export interface RefusalFacts {
  INVALID_FIELD: { violations: readonly Violation[] };
  MALFORMED_REQUEST: { problem: string };
  REQUEST_ID_REUSED: { requestId: string };
  STUDENT_NOT_FOUND: { studentId: string };
  IEP_NOT_FOUND: { iepId: string } | { studentId: string; academicYear: string; version?: number };
  GOAL_NOT_FOUND: { iepId: string; goalKey: string };
  STUDENT_NUMBER_TAKEN: { studentNumber: string };
  VERSION_MISMATCH: { expected: number; actual: number };
  ETAG_MISMATCH: { currentEtag: string; since?: EditsSince };
  ILLEGAL_TRANSITION: { from: string; rpc: string; allowed: readonly string[] };
  CONTENT_FROZEN: { status: string };
  SUBMISSION_EMPTY: Record<string, never>;
  APPROVAL_INCOMPLETE: { gaps: readonly Violation[] };
  APPROVER_IS_AUTHOR: { gaps: readonly Violation[] };
  NOT_YET_EFFECTIVE: { effectiveDate: string };
  BASE_NOT_FINAL: { status: string };
  WATCH_TOKEN_UNKNOWN: Record<string, never>;
}

export type RefusalReason = keyof RefusalFacts;

/** A call that the rules refuse. It leaves nothing behind. */
export class Refusal<R extends RefusalReason = RefusalReason> extends Error {
  readonly reason: R;
  readonly facts: RefusalFacts[R];

  constructor(reason: R, facts: RefusalFacts[R]) {
    super(reason);
    this.reason = reason;
    this.facts = facts;
  }
}

export function invalidField(field: string, description: string): Refusal<'INVALID_FIELD'> {
  return new Refusal('INVALID_FIELD', { violations: [{ field, description }] });
}
