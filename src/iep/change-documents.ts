import type { Chain } from '../persistence/dialects/dialect.ts';
import { type ChangeEvent, Iep } from '../persistence/entities.ts';
import type { Outcome, UnitOfWork } from '../persistence/unit-of-work.ts';
import { type Change, earlierOf, findEarlier } from './change.ts';
import { explainStale, type StaleCall } from './edits-since.ts';
import { isCurrent } from './etag.ts';
import { Refusal } from './errors.ts';
import type { IepPlace } from './iep-chain.ts';
import { findIeps, type IepDocument } from './iep-document.ts';

/** A call that changes a version which is there. */
export interface DocumentCall<Command> {
  /** That of the version. */
  readonly chain: Chain;
  readonly command: Command & { readonly iepId: string; readonly etag: string };
  readonly change: Change;
}

/** What a unit of work holds of the versions that its calls are about: their rows are locked and managed. */
export type HeldDocuments = Map<string, IepDocument>;

/** Makes the change of one call, or refuses it before anything is touched. */
export type ApplyChange<Command> = (
  documents: HeldDocuments,
  call: DocumentCall<Command>,
) => Promise<{ readonly document: IepDocument; readonly events: readonly ChangeEvent[] }>;

/**
 * Locks and reads the versions of all calls, then makes their changes in order. A call that was made before is answered
 * with the version as it is now, and one whose etag is stale is told what happened since; neither holds the others up.
 * `others` are further versions that `apply` may change.
 */
export async function changeDocuments<Command>(
  unit: UnitOfWork,
  calls: readonly DocumentCall<Command>[],
  apply: ApplyChange<Command>,
  others: readonly IepPlace[] = [],
): Promise<readonly Outcome<IepDocument>[]> {
  const own = calls.map(({ chain: { districtId }, command: { iepId } }) => ({ districtId, iepId }));
  const documents = await holdDocuments(unit, [...own, ...others]);
  const events = await findEarlier(
    unit,
    calls.map(({ change }) => change),
  );
  const outcomes: Outcome<IepDocument>[] = [];
  const stale = new Map<number, StaleCall>();
  for (const [index, call] of calls.entries()) {
    const { districtId, studentId } = call.chain;
    const { iepId, etag } = call.command;
    try {
      const document = documents.get(iepId)!;
      const known = earlierOf(events, call.change).length > 0;
      if (!known && !isCurrent(document.iep, etag)) {
        const { rowVersion, revision } = document.iep;
        stale.set(index, { districtId, studentId, iepId, etag, current: { rowVersion, revision } });
      } else if (!known) {
        const changed = await apply(documents, call);
        documents.set(iepId, changed.document);
        events.push(...changed.events);
      }
      // As it is now: the next call may change it again.
      const { iep, goals } = documents.get(iepId)!;
      outcomes[index] = { value: { iep: { ...iep }, goals } };
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      outcomes[index] = { refusal: error };
    }
  }
  const refusals = await explainStale(unit, [...stale.values()]);
  [...stale.keys()].forEach((index, place) => (outcomes[index] = { refusal: refusals[place]! }));
  return outcomes;
}

async function holdDocuments(unit: UnitOfWork, places: readonly IepPlace[]): Promise<HeldDocuments> {
  const documents: HeldDocuments = new Map();
  const districts = [...Map.groupBy(places, ({ districtId }) => districtId)].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [districtId, group] of districts) {
    const ids = [...new Set(group.map(({ iepId }) => iepId))];
    await unit.lockIeps(districtId, ids);
    for (const { iep, goals } of await findIeps(unit, districtId, ids)) {
      documents.set(iep.id, { iep: unit.em.merge(Iep, iep), goals });
    }
  }
  return documents;
}
