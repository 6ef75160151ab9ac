import { ChangeEvent } from '../persistence/entities.ts';
import type { UnitOfWork } from '../persistence/unit-of-work.ts';
import { etagOf, rowVersionOf } from './etag.ts';
import { Refusal } from './errors.ts';

/** A call on a version that has changed since the caller read it. */
export interface StaleCall {
  readonly districtId: string;
  readonly iepId: string;
  readonly etag: string;
  /** The version when the call was looked at. */
  readonly current: { readonly rowVersion: number; readonly revision: number };
}

/** Progress is no part of what an etag stands for. */
const PROGRESS = 'RecordGoalProgress';
/** The newest changes: an answer has no room for more. */
const MAX_EVENTS = 1000;

/**
 * The refusals of stale calls: each says what changed since, and by whom; nothing where the etag never was one. Reads once
 * for all of them. Call it when the unit has made its own changes.
 */
export async function explainStale(unit: UnitOfWork, calls: readonly StaleCall[]): Promise<Refusal[]> {
  const known = calls.flatMap(({ districtId, iepId, etag, current }) => {
    const since = rowVersionOf(etag);
    return since === undefined || since >= current.rowVersion ? [] : [{ districtId, iepId, since }];
  });
  const documents = [...Map.groupBy(known, ({ districtId, iepId }) => `${districtId}:${iepId}`).values()];
  const alternatives = documents.map((group) => ({
    districtId: group[0]!.districtId,
    iepId: group[0]!.iepId,
    rpc: { $ne: PROGRESS },
    rowVersion: { $gt: Math.min(...group.map(({ since }) => since)) },
  }));
  // The events of this unit are among them.
  await unit.flush();
  const newest =
    alternatives.length === 0
      ? []
      : await unit.em.find(ChangeEvent, { $or: alternatives }, { orderBy: { rowVersion: 'desc' }, limit: MAX_EVENTS });
  const events = newest.toReversed();
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
