/** The google.rpc messages that go with an error, kept small: some clients stop at 8 KiB of details. */
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import {
  BadRequestSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '../gen/google/rpc/error_details_pb.ts';
import type { Violation } from '../iep/errors.ts';

export type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

export function resource(resourceType: string, resourceName: string): Detail {
  return { desc: ResourceInfoSchema, value: { resourceType, resourceName } };
}

/** What the caller finds in the document, or in its status, that stands against the call. */
export function precondition(type: string, violations: readonly Violation[]): Detail {
  const list = listed(violations).map(({ field, description }) => ({ type, subject: field, description }));
  return { desc: PreconditionFailureSchema, value: { violations: list } };
}

export function retryAfter(ms: number): Detail {
  const nanos = (ms % 1000) * 1_000_000;
  return { desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(Math.floor(ms / 1000)), nanos } } };
}

export function badRequest(violations: readonly Violation[]): Detail {
  return { desc: BadRequestSchema, value: { fieldViolations: listed(violations) } };
}

const MAX_VIOLATIONS = 20;
/** Details over 64 KiB broke healthy calls on the same connection, and some clients stop at 8 KiB. */
const MAX_VIOLATION_BYTES = 3500;
const MAX_PATH = 200;
/** Around the two strings of a violation: tags and lengths, and the type of a precondition. */
const FRAME_BYTES = 28;

const MAX_NAMES_BYTES = 1200;

/** Names separated by commas, as many as there is room for; "…" stands for the rest. */
export function listedNames(names: readonly string[]): string {
  let list = '';
  for (const name of names) {
    const longer = list === '' ? name : `${list},${name}`;
    if (Buffer.byteLength(longer) > MAX_NAMES_BYTES) {
      return list === '' ? '…' : `${list},…`;
    }
    list = longer;
  }
  return list;
}

function listed(violations: readonly Violation[]): Violation[] {
  const list: Violation[] = [];
  let bytes = 0;
  for (const { field, description } of violations.slice(0, MAX_VIOLATIONS)) {
    const path = field.length <= MAX_PATH ? field : `${field.slice(0, MAX_PATH).toWellFormed()}…`;
    bytes += Buffer.byteLength(path) + Buffer.byteLength(description) + FRAME_BYTES;
    if (bytes > MAX_VIOLATION_BYTES) {
      break;
    }
    list.push({ field: path, description });
  }
  return list;
}

/** The first violation, and how many more there are. */
export function describeViolations(violations: readonly Violation[]): string {
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
