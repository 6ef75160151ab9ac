import type { Chain } from '../persistence/dialects/dialect.ts';
import { type ChangeEvent, Iep } from '../persistence/entities.ts';
import type { Outcome, UnitOfWork } from '../persistence/unit-of-work.ts';
import { type Change, earlierOf, findEarlier } from './change.ts';
import { explainStale, type StaleCall } from './edits-since.ts';
import { isCurrent } from './etag.ts';
import { Refusal } from './errors.ts';
import { announceDocument } from './fresh-documents.ts';
import type { IepPlace } from './iep-chain.ts';
import { findIeps, type IepDocument, type StoredDocument } from './iep-document.ts';

/** A call that changes a version which is there. */
export interface DocumentCall<Command> {
  /** That of the version. */
  readonly chain: Chain;
  readonly command: Command & { readonly iepId: string; readonly etag: string };
  readonly change: Change;
  /** About what it adds to the document. */
  readonly bytes: number;
}

/** What a unit of work holds of the versions that its calls are about: their rows are locked and managed. */
export type HeldDocuments = Map<string, StoredDocument>;

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
      const before = documents.get(iepId)!;
      if (earlierOf(events, call.change).length > 0) {
        outcomes[index] = { value: asItIsNow(before) };
        continue;
      }
      if (!isCurrent(before.iep, etag)) {
        const { rowVersion, revision } = before.iep;
        stale.set(index, { districtId, studentId, iepId, etag, current: { rowVersion, revision } });
        continue;
      }
      const changed = await apply(documents, call);
      const after = { ...changed.document, jsonLength: before.jsonLength + call.bytes };
      documents.set(iepId, after);
      events.push(...changed.events);
      const value = asItIsNow(after);
      announceDocument(unit, value, after.jsonLength);
      outcomes[index] = { value };
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

/** The next call may change it again. */
const asItIsNow = ({ iep, goals }: IepDocument): IepDocument => ({ iep: { ...iep }, goals });

async function holdDocuments(unit: UnitOfWork, places: readonly IepPlace[]): Promise<HeldDocuments> {
  const documents: HeldDocuments = new Map();
  const districts = [...Map.groupBy(places, ({ districtId }) => districtId)].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [districtId, group] of districts) {
    const ids = [...new Set(group.map(({ iepId }) => iepId))];
    await unit.lockIeps(districtId, ids);
    for (const document of await findIeps(unit, districtId, ids)) {
      documents.set(document.iep.id, { ...document, iep: unit.em.merge(Iep, document.iep) });
    }
  }
  return documents;
}
