/** Documents as this process has just left them, so that those who are told of its changes need not read them again. */
import type { UnitOfWork } from '../persistence/unit-of-work.ts';
import type { FeedEvent } from './feed-events.ts';
import type { IepDocument } from './iep-document.ts';

export interface FreshDocuments {
  /** Keeps what was announced. */
  keep(news: readonly unknown[]): void;
  /** The document as it is, with that change; undefined when it has to be read. */
  find(event: FeedEvent): IepDocument | undefined;
  clear(): void;
}

/** How many are kept, twice over, and of which size in bytes of JSON: parsed they take several times as much. */
const KEPT = 128;
const SMALL_BYTES = 16 * 1024;
/** For how long: another process may have changed them since. */
const FRESH_MS = 250;
/** After so long, and as long again, they go when others come: those who wait have them, and a collection copies them. */
const TOLD_MS = 25;

/** Announces a document of about so many bytes that the unit has changed, unless it is large. */
export function announceDocument(unit: UnitOfWork, document: IepDocument, bytes: number): void {
  if (bytes <= SMALL_BYTES) {
    unit.announce(document);
  }
}

interface Kept {
  readonly document: IepDocument;
  readonly since: number;
}

const nothing = () => ({ since: 0, now: new Map<string, Kept>(), before: new Map<string, Kept>() });

export function createFreshDocuments(): FreshDocuments {
  /** Those of now, and those before. A map that is added to and deleted from holds on to more than what is in it. */
  let kept = nothing();
  return {
    keep(news) {
      const since = Date.now();
      for (const document of news as readonly IepDocument[]) {
        if (since - kept.since > TOLD_MS || kept.now.size >= KEPT) {
          kept = { since, now: new Map(), before: kept.now };
        }
        kept.now.set(document.iep.id, { document, since });
      }
    },
    find({ iepId, rpc, rowVersion }) {
      const entry = kept.now.get(iepId!) ?? kept.before.get(iepId!);
      // A note leaves the row version as it is.
      const hasChange =
        entry !== undefined && rpc !== 'RecordGoalProgress' && entry.document.iep.rowVersion >= rowVersion;
      return hasChange && Date.now() - entry.since <= FRESH_MS ? entry.document : undefined;
    },
    clear: () => void (kept = nothing()),
  };
}
