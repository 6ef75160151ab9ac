/**
 * A resume token holds the id of the last event before it and a tag of the database, and no personal data. It is bound to
 * what is watched.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Scope } from '../iep/feed-events.ts';
import type { WatchPosition } from '../iep/watch-ieps.ts';
import type { Report } from './fields.ts';

/** Version of this form, tag of the database, tag of the scope, id of the event, checksum. */
const LENGTHS = { version: 1, database: 8, scope: 8, event: 16, sum: 4 };
const DATABASE_AT = LENGTHS.version;
const SCOPE_AT = DATABASE_AT + LENGTHS.database;
const EVENT_AT = SCOPE_AT + LENGTHS.scope;
const SUM_AT = EVENT_AT + LENGTHS.event;
const BYTES = SUM_AT + LENGTHS.sum;
const VERSION = 1;
const BEFORE_THE_FIRST = '0'.repeat(2 * LENGTHS.event);

/** Makes the tokens of one watch. */
export function resumeTokens(scope: Scope): (position: WatchPosition) => string {
  const tag = tagOf(scope);
  return ({ database, eventId }) => {
    const bytes = Buffer.allocUnsafe(BYTES);
    bytes[0] = VERSION;
    bytes.write(database, DATABASE_AT, 'hex');
    bytes.write(tag, SCOPE_AT, 'hex');
    bytes.write(eventId?.replaceAll('-', '') ?? BEFORE_THE_FIRST, EVENT_AT, 'hex');
    bytes.writeUInt32BE(crc32(bytes.subarray(0, SUM_AT)), SUM_AT);
    return bytes.toString('base64url');
  };
}

/** What a token stands for; undefined for an empty one. */
export function readResumeToken(report: Report, token: string, scope: Scope): WatchPosition | undefined {
  if (token === '') {
    return undefined;
  }
  const bytes = Buffer.from(token, 'base64url');
  const genuine =
    bytes.length === BYTES &&
    bytes[0] === VERSION &&
    bytes.toString('base64url') === token &&
    bytes.readUInt32BE(SUM_AT) === crc32(bytes.subarray(0, SUM_AT));
  if (!genuine || bytes.toString('hex', SCOPE_AT, EVENT_AT) !== tagOf(scope)) {
    report('resume_token', 'must be the resume_token of a watch with the same student_id; or watch without one');
    return undefined;
  }
  const event = bytes.toString('hex', EVENT_AT, SUM_AT);
  return {
    database: bytes.toString('hex', DATABASE_AT, SCOPE_AT),
    eventId: event === BEFORE_THE_FIRST ? null : event.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  };
}

function tagOf({ districtId, studentId }: Scope): string {
  const text = JSON.stringify([districtId, studentId ?? '']);
  return createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, 2 * LENGTHS.scope);
}
