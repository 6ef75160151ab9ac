/** The one table of errors: what each reason looks like to a caller. The texts name no table, no SQL and no person. */
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '../gen/google/rpc/error_details_pb.ts';
import { type RefusalFacts, Refusal, type Violation } from '../iep/errors.ts';
import { StorageError, type StorageFacts } from '../persistence/errors.ts';

interface CallFacts {
  DRAINING: Record<string, never>;
  INTERNAL: { requestId: string };
}

interface Facts extends RefusalFacts, StorageFacts, CallFacts {}
type Reason = keyof Facts;

type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

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
    details: ({ violations }) => [badRequest(listed(violations))],
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
        : `The student ${facts.studentId} has no IEP in academic_year ${facts.academicYear}.`,
    details: (facts) => [
      resource('iep.v1.Iep', 'iepId' in facts ? facts.iepId : `${facts.studentId}/${facts.academicYear}`),
    ],
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
    metadata: ({ currentEtag }) => ({ current_etag: currentEtag }),
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

function resource(resourceType: string, resourceName: string): Detail {
  return { desc: ResourceInfoSchema, value: { resourceType, resourceName } };
}

function retryAfter(ms: number): Detail {
  const nanos = (ms % 1000) * 1_000_000;
  return { desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(Math.floor(ms / 1000)), nanos } } };
}

function badRequest(violations: readonly Violation[]): Detail {
  return { desc: BadRequestSchema, value: { fieldViolations: [...violations] } };
}

const MAX_VIOLATIONS = 20;
/** Details over 64 KiB broke healthy calls on the same connection, and some clients stop at 8 KiB. */
const MAX_VIOLATION_BYTES = 3500;
const MAX_PATH = 200;

function listed(violations: readonly Violation[]): Violation[] {
  const list: Violation[] = [];
  let bytes = 0;
  for (const { field, description } of violations.slice(0, MAX_VIOLATIONS)) {
    const path = field.length <= MAX_PATH ? field : `${field.slice(0, MAX_PATH).toWellFormed()}…`;
    // Six: the tags and lengths around the two strings.
    bytes += Buffer.byteLength(path) + Buffer.byteLength(description) + 6;
    if (bytes > MAX_VIOLATION_BYTES) {
      break;
    }
    list.push({ field: path, description });
  }
  return list;
}

function describeViolations(violations: readonly Violation[]): string {
  const list = listed(violations);
  const [first] = list;
  const others = list.length - 1;
  const left = violations.length - list.length;
  return [
    `${first?.field} ${first?.description}`,
    others > 0 ? `; and ${others} more in the details` : '',
    left > 0 ? `, with ${left} further ones not listed` : '',
    '.',
  ].join('');
}
