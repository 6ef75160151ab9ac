/** Marked personal data, and what looks for the marks. */
import { randomUUID } from 'node:crypto';
import type { ConnectError } from '@connectrpc/connect';
import { expect } from 'vitest';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { GOAL } from './lifecycle.ts';

/** In every name and text. */
export const MARK = 'Zyxomma';
const BIRTHDAY = '2013-07-19';
/** In student_number, which an error may name to the caller who sent it. */
const NUMBER = 'Kwyjibo';
/** A key of content, which the path to a bad value names to the caller who sent it. */
export const KEY = 'Flibbert';
/** Like a line of a stack, as a log would keep it. */
export const TEXT = `first\n    at ${MARK} (file:1:1)`;

/** Reasons that test/canary-faults.test.ts provokes, the last one for good; test/canary.test.ts has the others. */
export const IN_FAULTS = [
  'VERSION_CONTENTION',
  'OVERLOADED',
  'OUTCOME_UNKNOWN',
  'DRAINING',
  'DATABASE_UNAVAILABLE',
] as const;

export const person = (over: object = {}) => ({
  studentNumber: `${NUMBER}-${randomUUID()}`,
  givenName: MARK,
  familyName: MARK,
  birthDate: BIRTHDAY,
  ...over,
});
const content = { [KEY]: MARK, section: { [KEY]: [MARK, TEXT] } };
export const goal = { ...GOAL, goalText: TEXT, baseline: TEXT, targetCriteria: TEXT, measurementMethod: TEXT };
export const said = { content, goals: [goal] };

/** The marks that an error may name: what the caller sent as student_number, and the way to a value in content. */
function mayName(reason: string): string[] {
  return { STUDENT_NUMBER_TAKEN: [NUMBER], INVALID_FIELD: [KEY] }[reason] ?? [];
}

/** None but those allowed, whatever was made of it. */
export function expectNoMark(seen: readonly unknown[], allowed: readonly string[] = []): void {
  const text = JSON.stringify(seen, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
  for (const mark of [MARK, BIRTHDAY, NUMBER, KEY].filter((each) => !allowed.includes(each))) {
    const found = text.toLowerCase().indexOf(mark.toLowerCase());
    expect(found === -1 ? '' : text.slice(Math.max(0, found - 200), found + 100)).toBe('');
  }
}

/** The error's reason, once no mark is in anything that came with it. */
export function reasonWithoutMark(error: ConnectError): string {
  const details = error.details.map((detail) =>
    'type' in detail ? Buffer.from(detail.value).toString() : JSON.stringify(detail),
  );
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? error.message;
  expectNoMark([error.rawMessage, details, ...error.metadata], mayName(reason));
  return reason;
}
