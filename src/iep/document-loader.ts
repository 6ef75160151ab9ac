import type { Database } from '../persistence/database.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import { findSizes } from './document-size.ts';
import type { FeedEvent } from './feed-events.ts';
import type { FreshDocuments } from './fresh-documents.ts';
import { findIeps, type IepDocument } from './iep-document.ts';

/** How long one read may take. */
const PATIENCE_MS = 10_000;
/** Documents read by one statement. */
const CHUNK = 64;
/** What one who asks is read at a time. */
const MAX_BYTES = 512 * 1024;
const NEVER = new AbortController().signal;

interface Wish {
  readonly districtId: string;
  readonly events: readonly FeedEvent[];
  readonly resolve: (documents: readonly IepDocument[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Answers the documents of the district's events, in their order, as they are now. Only those of the first events, at least of
 * one, where they are large.
 */
export type LoadDocuments = (districtId: string, events: readonly FeedEvent[]) => Promise<readonly IepDocument[]>;

/**
 * Makes the function that gets documents for many at once: those who ask in one turn of the event loop share a statement,
 * and the documents. Watchers that one commit wakes do.
 */
export function createDocumentLoader(db: Pick<Database, 'read'>, fresh: FreshDocuments): LoadDocuments {
  let wishes: Wish[] = [];

  async function grant(districtId: string, own: readonly Wish[]): Promise<void> {
    try {
      const kept = own.map(({ events }) => events.map((event) => fresh.find(event)));
      const missing = own.map(({ events }, wish) =>
        events.flatMap(({ iepId }, index) => (kept[wish]![index] === undefined ? [iepId!] : [])),
      );
      const doubtful = missing.filter((ids) => new Set(ids).size > 1).flat();
      const sizes = new Map(await readAll(districtId, doubtful, findSizes));
      const ids = missing.flatMap((all) => firstOf(all, sizes));
      const read = new Map((await readAll(districtId, ids, findIeps)).map((document) => [document.iep.id, document]));
      own.forEach(({ events, resolve }, wish) => {
        const documents = events.map(({ iepId }, index) => kept[wish]![index] ?? read.get(iepId!));
        const end = documents.indexOf(undefined);
        resolve(documents.slice(0, end === -1 ? undefined : end) as IepDocument[]);
      });
    } catch (error) {
      own.forEach(({ reject }) => reject(error));
    }
  }

  async function readAll<Row>(
    districtId: string,
    iepIds: readonly string[],
    find: (reader: Reader, districtId: string, iepIds: readonly string[]) => Promise<readonly Row[]>,
  ): Promise<Row[]> {
    const ids = [...new Set(iepIds)];
    const rows: Row[] = [];
    for (let start = 0; start < ids.length; start += CHUNK) {
      const call = { deadline: Date.now() + PATIENCE_MS, signal: NEVER };
      rows.push(...(await db.read(call, (reader) => find(reader, districtId, ids.slice(start, start + CHUNK)))));
    }
    return rows;
  }

  function grantAll(): void {
    const taken = wishes;
    wishes = [];
    Map.groupBy(taken, ({ districtId }) => districtId).forEach((own, districtId) => void grant(districtId, own));
  }

  return (districtId, events) =>
    new Promise((resolve, reject) => {
      if (wishes.length === 0) {
        setImmediate(grantAll);
      }
      wishes.push({ districtId, events, resolve, reject });
    });
}

/** As many of the documents as fit, at least one. Without a size there is but one. */
function firstOf(iepIds: readonly string[], sizes: ReadonlyMap<string, number>): string[] {
  let bytes = 0;
  const taken = new Set<string>();
  for (const id of iepIds) {
    bytes += taken.has(id) ? 0 : (sizes.get(id) ?? 0);
    if (taken.size > 0 && bytes > MAX_BYTES) {
      break;
    }
    taken.add(id);
  }
  return [...taken];
}
