/**
 * The record of a change: an event row, written in the change's own transaction. It makes a call safe to repeat, both for
 * the caller, by its request_id, and for the service itself after a commit whose answer was lost, by the event's id.
 */
import { createHash, randomUUIDv7 } from 'node:crypto';
import canonicalize from 'canonicalize';
import { ChangeEvent } from '../persistence/entities.ts';
import type { UnitOfWork } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { Refusal } from './errors.ts';

export interface Change {
  readonly caller: Caller;
  readonly rpc: string;
  readonly requestId: string | undefined;
  readonly requestHash: string | undefined;
  /** Made before the first attempt, one for each row of the change. */
  readonly eventIds: readonly string[];
}

/**
 * Describes the change that `command` asks for, before anything is tried. The command is hashed as the caller gave it,
 * without what is empty, so that a field or a default added later breaks no replay; the prefix names this form.
 */
export function describeChange(
  caller: Caller,
  rpc: string,
  command: { requestId?: string | undefined },
  rows = 1,
): Change {
  const { requestId } = command;
  return {
    caller,
    rpc,
    requestId,
    requestHash:
      requestId === undefined
        ? undefined
        : createHash('sha256')
            .update(`1:${canonicalize(withoutEmpty(command))}`)
            .digest('hex'),
    eventIds: Array.from({ length: rows }, () => randomUUIDv7()),
  };
}

/** The fields of a command that say something. What stands inside `content` is the caller's own and stays as it is. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutEmpty);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const kept = Object.entries(value).filter(([, field]) => !isEmpty(field));
  return Object.fromEntries(kept.map(([name, field]) => [name, name === 'content' ? field : withoutEmpty(field)]));
}

function isEmpty(field: unknown): boolean {
  return field == null || field === '' || (typeof field === 'object' && Object.keys(field).length === 0);
}

/**
 * The events of changes that were made before, read for all of them at once. Look before any other check: a repeated call
 * is answered, not judged again.
 */
export async function findEarlier(unit: UnitOfWork, changes: readonly Change[]): Promise<ChangeEvent[]> {
  const requested = changes.filter(({ requestId }) => requestId !== undefined);
  const byRequest = requested.map(({ caller: { districtId }, rpc, requestId }) => ({
    districtId,
    rpc,
    requestId: requestId!,
  }));
  // Before the second attempt nothing of ours can be there.
  const repeated = unit.attempt === 1 ? [] : changes;
  const byEvent = repeated.map(({ caller: { districtId }, eventIds }) => ({ districtId, id: { $in: [...eventIds] } }));
  const alternatives = [...byRequest, ...byEvent];
  return alternatives.length === 0
    ? []
    : unit.em.find(ChangeEvent, { $or: alternatives }, { orderBy: { requestIndex: 'asc' } });
}

/** Those of `events` that belong to the change; none if it is new. Refuses a request_id that stands for another payload. */
export function earlierOf(events: readonly ChangeEvent[], change: Change): ChangeEvent[] {
  const { caller, rpc, requestId, requestHash, eventIds } = change;
  const own = events.filter(
    (event) =>
      event.districtId === caller.districtId &&
      (eventIds.includes(event.id) || (requestId !== undefined && event.requestId === requestId && event.rpc === rpc)),
  );
  if (requestId !== undefined && own.some((event) => event.requestHash !== requestHash)) {
    throw new Refusal('REQUEST_ID_REUSED', { requestId });
  }
  return own;
}

export interface RecordedChange {
  readonly studentId: string;
  readonly iepId?: string;
  readonly fromStatus?: string;
  readonly toStatus?: string;
  readonly rowVersion: number;
  readonly changedPaths?: string[];
  readonly contentSha256?: string | null | undefined;
  readonly time: Date;
}

/** Appends the event of row `index` of the change to the unit of work. */
export function recordChange(unit: UnitOfWork, change: Change, recorded: RecordedChange, index = 0): ChangeEvent {
  const { caller } = change;
  const event: ChangeEvent = {
    districtId: caller.districtId,
    id: change.eventIds[index]!,
    rpc: change.rpc,
    requestId: change.requestId ?? null,
    requestIndex: index,
    requestHash: change.requestHash ?? null,
    actor: caller.principal,
    eventTime: recorded.time,
    studentId: recorded.studentId,
    iepId: recorded.iepId ?? null,
    fromStatus: recorded.fromStatus ?? null,
    toStatus: recorded.toStatus ?? null,
    rowVersion: recorded.rowVersion,
    changedPaths: recorded.changedPaths ?? [],
    contentSha256: recorded.contentSha256 ?? null,
  };
  unit.append(ChangeEvent, event);
  return event;
}
