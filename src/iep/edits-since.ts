import { ChangeEvent } from '../persistence/entities.ts';
import type { UnitOfWork } from '../persistence/unit-of-work.ts';
import { etagOf, rowVersionOf } from './etag.ts';
import { Refusal } from './errors.ts';

/** A call on a version that has changed since the caller read it. */
export interface StaleCall {
  readonly districtId: string;
  readonly studentId: string;
  readonly iepId: string;
  readonly etag: string;
  /** The version when the call was looked at. */
  readonly current: { readonly rowVersion: number; readonly revision: number };
}

/** Progress is no part of what an etag stands for. */
const PROGRESS = 'RecordGoalProgress';
/** The newest changes of all the documents, to each the same share: an answer has no room for more. */
const MAX_EVENTS = 1000;

/**
 * The refusals of stale calls: each says what changed since, and by whom; nothing where the etag never was one. Reads once
 * for all of them. Call it when the unit has made its own changes.
 */
export async function explainStale(unit: UnitOfWork, calls: readonly StaleCall[]): Promise<Refusal[]> {
  const known = calls.filter(({ etag, current }) => (rowVersionOf(etag) ?? Infinity) < current.rowVersion);
  const documents = [...Map.groupBy(known, ({ districtId, iepId }) => `${districtId}:${iepId}`).values()];
  const share = Math.floor(MAX_EVENTS / documents.length);
  const alternatives = documents.map((group) => {
    const { districtId, studentId, iepId } = group[0]!;
    const oldest = Math.min(...group.map(({ etag }) => rowVersionOf(etag)!));
    const newest = Math.max(...group.map(({ current }) => current.rowVersion));
    // The index is the student's. Every change but progress has a row version of its own.
    return {
      districtId,
      studentId,
      iepId,
      rpc: { $ne: PROGRESS },
      rowVersion: { $gt: Math.max(oldest, newest - share) },
    };
  });
  // The events of this unit are among them.
  await unit.flush();
  const events =
    alternatives.length === 0
      ? []
      : await unit.em.find(ChangeEvent, { $or: alternatives }, { orderBy: { rowVersion: 'asc' } });
  return calls.map(({ districtId, iepId, etag, current }) => {
    const since = rowVersionOf(etag) ?? Infinity;
    const own = events.filter(
      (event) =>
        event.districtId === districtId &&
        event.iepId === iepId &&
        event.rowVersion > since &&
        event.rowVersion <= current.rowVersion,
    );
    return new Refusal('ETAG_MISMATCH', {
      currentEtag: etagOf(current),
      since: {
        revision: current.revision,
        changedPaths: [...new Set(own.flatMap(({ changedPaths }) => changedPaths))],
        changedBy: [...new Set(own.map(({ actor }) => actor))],
      },
    });
  });
}
