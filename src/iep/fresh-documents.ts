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

/** How many are kept, and of which size in bytes of JSON: parsed they take several times as much. */
const KEPT = 256;
const SMALL_BYTES = 16 * 1024;
/** For how long: another process may have changed them since. */
const FRESH_MS = 250;

/** Announces a document of about so many bytes that the unit has changed, unless it is large. */
export function announceDocument(unit: UnitOfWork, document: IepDocument, bytes: number): void {
  if (bytes <= SMALL_BYTES) {
    unit.announce(document);
  }
}

export function createFreshDocuments(): FreshDocuments {
  /** In order of their commits. */
  const kept = new Map<string, { readonly document: IepDocument; readonly since: number }>();
  return {
    keep(news) {
      const since = Date.now();
      for (const document of news as readonly IepDocument[]) {
        kept.delete(document.iep.id);
        kept.set(document.iep.id, { document, since });
      }
      for (const iepId of kept.keys()) {
        if (kept.size <= KEPT) {
          break;
        }
        kept.delete(iepId);
      }
    },
    find({ iepId, rpc, rowVersion }) {
      const entry = kept.get(iepId!);
      // A note leaves the row version as it is.
      const hasChange =
        entry !== undefined && rpc !== 'RecordGoalProgress' && entry.document.iep.rowVersion >= rowVersion;
      return hasChange && Date.now() - entry.since <= FRESH_MS ? entry.document : undefined;
    },
    clear: () => kept.clear(),
  };
}
