import type { Database } from '../persistence/database.ts';
import { findIeps, type IepDocument } from './iep-document.ts';

/** How long one read may take. */
const PATIENCE_MS = 10_000;
/** Documents read by one statement. */
const CHUNK = 64;
const NEVER = new AbortController().signal;

interface Wish {
  readonly districtId: string;
  readonly iepIds: readonly string[];
  readonly resolve: (documents: ReadonlyMap<string, IepDocument>) => void;
  readonly reject: (error: unknown) => void;
}

/** Answers the district's versions by their ids, as they are now. */
export type LoadDocuments = (
  districtId: string,
  iepIds: readonly string[],
) => Promise<ReadonlyMap<string, IepDocument>>;

/**
 * Makes the function that reads documents for many at once: those who ask in one turn of the event loop share a statement,
 * and the documents. Watchers that one commit wakes do.
 */
export function createDocumentLoader(db: Pick<Database, 'read'>): LoadDocuments {
  let wishes: Wish[] = [];

  async function grant(districtId: string, own: readonly Wish[]): Promise<void> {
    try {
      const ids = [...new Set(own.flatMap(({ iepIds }) => iepIds))];
      const documents = new Map<string, IepDocument>();
      for (let start = 0; start < ids.length; start += CHUNK) {
        const call = { deadline: Date.now() + PATIENCE_MS, signal: NEVER };
        const chunk = await db.read(call, (reader) => findIeps(reader, districtId, ids.slice(start, start + CHUNK)));
        chunk.forEach((document) => documents.set(document.iep.id, document));
      }
      own.forEach(({ resolve }) => resolve(documents));
    } catch (error) {
      own.forEach(({ reject }) => reject(error));
    }
  }

  function grantAll(): void {
    const taken = wishes;
    wishes = [];
    Map.groupBy(taken, ({ districtId }) => districtId).forEach((own, districtId) => void grant(districtId, own));
  }

  return (districtId, iepIds) =>
    new Promise((resolve, reject) => {
      if (wishes.length === 0) {
        setImmediate(grantAll);
      }
      wishes.push({ districtId, iepIds, resolve, reject });
    });
}
