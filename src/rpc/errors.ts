/** The one table of errors: what each reason looks like to a caller. The texts name no table, no SQL and no person. */
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { type RefusalFacts, Refusal, type Violation } from '../iep/errors.ts';
import { StorageError, type StorageFacts } from '../persistence/errors.ts';
import {
  badRequest,
  describeViolations,
  type Detail,
  listedNames,
  precondition,
  resource,
  retryAfter,
} from './error-details.ts';

interface CallFacts {
  DRAINING: Record<string, never>;
  INTERNAL: { requestId: string };
}

interface Facts extends RefusalFacts, StorageFacts, CallFacts {}
type Reason = keyof Facts;

interface Row<F> {
  readonly code: Code | ((facts: F) => Code);
  /** A sentence that a caller can act on. */
  readonly message: (facts: F) => string;
  readonly metadata?: (facts: F) => Record<string, string>;
  readonly details?: (facts: F) => Detail[];
  /** Whether the call may have changed something. */
  readonly committed?: 'unknown';
}

const ERRORS: { [R in Reason]: Row<Facts[R]> } = {
  INVALID_FIELD: {
    code: Code.InvalidArgument,
    message: ({ violations }) => describeViolations(violations),
    details: ({ violations }) => [badRequest(violations)],
  },
  MALFORMED_REQUEST: {
    code: Code.InvalidArgument,
    message: ({ problem }) => `The request cannot be read: ${problem}.`,
  },
  REQUEST_ID_REUSED: {
    code: Code.InvalidArgument,
    message: ({ requestId }) =>
      `request_id ${requestId} was used before with another payload. Send a new one with a new request.`,
  },
  STUDENT_NOT_FOUND: {
    code: Code.NotFound,
    message: ({ studentId }) => `There is no student with student_id ${studentId}.`,
    details: ({ studentId }) => [resource('iep.v1.Student', studentId)],
  },
  IEP_NOT_FOUND: {
    code: Code.NotFound,
    message: (facts) =>
      'iepId' in facts
        ? `There is no IEP with iep_id ${facts.iepId}.`
        : `The student ${facts.studentId} has no IEP${facts.version ? ` of version ${facts.version}` : ''} in academic_year ${facts.academicYear}.`,
    details: (facts) => [resource('iep.v1.Iep', 'iepId' in facts ? facts.iepId : placeOf(facts))],
  },
  GOAL_NOT_FOUND: {
    code: Code.NotFound,
    message: ({ iepId, goalKey }) => `The IEP ${iepId} has no goal with goal_key ${goalKey}.`,
    details: ({ iepId, goalKey }) => [resource('iep.v1.Goal', `${iepId}/${goalKey}`)],
  },
  STUDENT_NUMBER_TAKEN: {
    code: Code.AlreadyExists,
    message: ({ studentNumber }) => `Another student has student_number "${studentNumber}".`,
    details: ({ studentNumber }) => [resource('iep.v1.Student', studentNumber)],
  },
  VERSION_MISMATCH: {
    code: Code.Aborted,
    message: ({ expected, actual }) =>
      `expected_latest_version is ${expected}, but the latest version is ${actual}. Read it, then decide again.`,
    metadata: ({ expected, actual }) => ({ expected: `${expected}`, actual: `${actual}` }),
  },
  ETAG_MISMATCH: {
    code: Code.Aborted,
    message: ({ currentEtag }) =>
      `etag is not ${currentEtag}: the resource was changed since it was read. Read it again, then decide again.`,
    metadata: ({ currentEtag, since }) => ({
      current_etag: currentEtag,
      ...(since && {
        revision: `${since.revision}`,
        changed_paths: listedNames(since.changedPaths),
        changed_by: listedNames(since.changedBy),
      }),
    }),
  },
  ILLEGAL_TRANSITION: {
    code: Code.FailedPrecondition,
    message: ({ from, rpc, allowed }) =>
      `${rpc} is not possible: status is ${from}. ${allowed.length > 0 ? `Possible: ${allowed.join(', ')}` : 'It is final'}.`,
    metadata: ({ from, rpc, allowed }) => ({ from, rpc, allowed: allowed.join(',') }),
    details: ({ from, rpc }) => [
      precondition('ILLEGAL_TRANSITION', [{ field: 'status', description: `is ${from}, which does not allow ${rpc}` }]),
    ],
  },
  CONTENT_FROZEN: {
    code: Code.FailedPrecondition,
    message: ({ status }) => `The content is frozen: status is ${status}. Create a new version instead.`,
    metadata: ({ status }) => ({ status }),
    details: ({ status }) => [
      precondition('CONTENT_FROZEN', [{ field: 'status', description: `is ${status}, which freezes the content` }]),
    ],
  },
  SUBMISSION_EMPTY: unmet('SUBMISSION_EMPTY', () => [
    { field: 'goals', description: 'and content are both empty: give at least one goal or some content' },
  ]),
  APPROVAL_INCOMPLETE: unmet('APPROVAL_INCOMPLETE', ({ gaps }) => gaps),
  APPROVER_IS_AUTHOR: unmet('APPROVER_IS_AUTHOR', ({ gaps }) => gaps),
  NOT_YET_EFFECTIVE: unmet('NOT_YET_EFFECTIVE', ({ effectiveDate }) => [
    { field: 'effective_date', description: `is ${effectiveDate}: activate it on that day (UTC) or later` },
  ]),
  BASE_NOT_FINAL: {
    ...unmet('BASE_NOT_FINAL', ({ status }) => [
      { field: 'based_on_iep_id', description: `names an IEP that is ${status}: take one that was approved` },
    ]),
    metadata: ({ status }) => ({ status }),
  },
  WATCH_TOKEN_UNKNOWN: {
    code: Code.OutOfRange,
    message: () =>
      'resume_token is none of this database. Read what you watch again, and watch without a token from then on.',
  },
  VERSION_CONTENTION: {
    code: Code.Aborted,
    message: ({ attempts }) => `Other writers got in between ${attempts} times. Try again.`,
    metadata: ({ attempts }) => ({ attempts: `${attempts}` }),
    details: () => [retryAfter(250)],
  },
  OVERLOADED: {
    code: Code.ResourceExhausted,
    message: ({ cause }) => `The service has more work than it can take (${cause}). Try again.`,
    metadata: ({ cause }) => ({ cause }),
    details: () => [retryAfter(1000)],
  },
  NOT_EXECUTED: {
    code: Code.DeadlineExceeded,
    message: () => 'The deadline passed before anything was written.',
  },
  OUTCOME_UNKNOWN: {
    code: ({ deadline }) => (deadline ? Code.DeadlineExceeded : Code.Unavailable),
    message: () => 'The call may or may not have been carried out. Try again with the same request_id to find out.',
    details: () => [retryAfter(1000)],
    committed: 'unknown',
  },
  DATABASE_UNAVAILABLE: {
    code: Code.Unavailable,
    message: () => 'The database cannot be used at the moment. Try again.',
    details: () => [retryAfter(1000)],
  },
  DRAINING: {
    code: Code.Unavailable,
    message: () => 'This instance is shutting down. Try again.',
    details: () => [retryAfter(100)],
  },
  INTERNAL: {
    code: Code.Internal,
    message: ({ requestId }) => `The service failed. Its log has the cause under request id ${requestId}.`,
    committed: 'unknown',
  },
};

/** The row of a reason that the document itself gives. */
function unmet<R extends Reason>(reason: R, violationsOf: (facts: Facts[R]) => readonly Violation[]): Row<Facts[R]> {
  return {
    code: Code.FailedPrecondition,
    message: (facts) => describeViolations(violationsOf(facts)),
    details: (facts) => [precondition(reason, violationsOf(facts))],
  };
}

/** The error that a caller gets for `reason`. */
export function errorFor<R extends Reason>(reason: R, facts: Facts[R], cause?: unknown): ConnectError {
  const { code, message, metadata, details, committed = 'no' } = ERRORS[reason];
  const info = {
    desc: ErrorInfoSchema,
    value: { reason, domain: 'iep.v1', metadata: { ...metadata?.(facts), committed } },
  };
  return new ConnectError(
    message(facts),
    typeof code === 'function' ? code(facts) : code,
    undefined,
    [info, ...(details?.(facts) ?? [])],
    cause,
  );
}

/** The error that a caller gets for anything thrown below. What is not in the table is a fault of ours. */
export function toConnectError(error: unknown, requestId: string): ConnectError {
  if (error instanceof ConnectError) {
    return error;
  }
  if (error instanceof Refusal || error instanceof StorageError) {
    return errorFor(error.reason, error.facts, error.cause);
  }
  return errorFor('INTERNAL', { requestId }, error);
}

/** The reason of an error of this table. */
export function reasonOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.reason ?? '';
}

function placeOf({ studentId, academicYear, version }: { studentId: string; academicYear: string; version?: number }) {
  return [studentId, academicYear, ...(version === undefined ? [] : [version])].join('/');
}
