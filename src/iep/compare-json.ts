import diff, { type Difference as Found } from 'microdiff';

type Json = Record<string, unknown>;

/** What two documents say differently in one place. */
export interface Difference {
  /** The place, a JSON pointer (RFC 6901). */
  readonly path: string;
  readonly operation: 'ADDED' | 'REMOVED' | 'CHANGED';
  /** Absent when it was added. */
  readonly before?: unknown;
  /** Absent when it was removed. */
  readonly after?: unknown;
}

/** The most differences that are listed inside one object or array: nobody reads more, and each costs time. */
export const MAX_DIFFERENCES = 5000;
/**
 * The most that their paths may take in bytes. Values are no larger than what is compared, but one long key stands in the
 * path of everything below it.
 */
const MAX_PATH_BYTES = 768 * 1024;
/** About what a difference takes beside its path and values. */
const BYTES_EACH = 32;

const OPERATIONS = { CREATE: 'ADDED', REMOVE: 'REMOVED', CHANGE: 'CHANGED' } as const;

interface Place {
  readonly path: string;
  /** Of the path in UTF-8. Added up, because to ask for it makes a copy of a path that may never be listed. */
  readonly bytes: number;
  /** How many segments of the library's paths lead here. */
  readonly depth: number;
}

interface Listed {
  readonly differences: readonly Difference[];
  readonly bytes: number;
}

/**
 * What differs in two objects that stand at `at`, a JSON pointer, by path: keys by UTF-16 code units, as RFC 8785 sorts
 * them, and indexes by number. Arrays are compared index by index; an object and an array have nothing in common. An object
 * or array in which there is too much to list is one difference, the innermost first.
 */
export function compareJson(at: string, before: Json, after: Json): readonly Difference[] {
  const root = { path: at, bytes: Buffer.byteLength(at), depth: 0 };
  const cut = cutPair(before, after);
  if (cut === TOO_MUCH) {
    return whole(root, { operation: 'CHANGED', before, after }).differences;
  }
  const found = diff(cut.before as Json, cut.after as Json, { cyclesFix: false });
  return listInside(root, found, before, after).differences;
}

/** Two values as the library is to compare them. */
interface Pair {
  readonly before: unknown;
  readonly after: unknown;
  readonly differences: number;
}

/** Stands for two objects or arrays in which more differs than is listed: to find all of it would take too long. */
const TOO_MUCH: Pair = { before: 0, after: 1, differences: 1 };

/**
 * Cuts out of two values what is too much. The rest is copied, so that it inherits nothing: microdiff asks for keys by `in`,
 * which finds "constructor" in every other object.
 */
function cutPair(before: unknown, after: unknown): Pair {
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) {
    return { before, after, differences: before === after ? 0 : 1 };
  }
  const copies = { before: emptyLike(before), after: emptyLike(after) };
  let differences = 0;
  for (const key of keysOf(before, after)) {
    const inBefore = Object.hasOwn(before, key);
    const inAfter = Object.hasOwn(after, key);
    const inside = inBefore && inAfter ? cutPair(before[key], after[key]) : { before: 0, after: 0, differences: 1 };
    if (inBefore) {
      copies.before[key] = inside.before;
    }
    if (inAfter) {
      copies.after[key] = inside.after;
    }
    differences += inside.differences;
    if (differences > MAX_DIFFERENCES) {
      return TOO_MUCH;
    }
  }
  return { ...copies, differences };
}

const isContainer = (value: unknown): value is Json => typeof value === 'object' && value !== null;
const emptyLike = (value: Json) => (Array.isArray(value) ? [] : Object.create(null)) as Json;

/** The keys of either, or the indexes. */
function* keysOf(before: Json, after: Json): Generator<string> {
  yield* Object.keys(before);
  for (const key of Object.keys(after)) {
    if (!Object.hasOwn(before, key)) {
      yield key;
    }
  }
}

/** What was found inside one object or array, `before` in the first document and `after` in the second. */
function listInside(place: Place, found: readonly Found[], before: Json, after: Json): Listed {
  const byKey = Map.groupBy(found, ({ path }) => path[place.depth]!);
  const differences: Difference[] = [];
  let bytes = 0;
  for (const key of [...byKey.keys()].sort((one, other) => (one < other ? -1 : 1))) {
    const inside = list(placeIn(place, key), byKey.get(key)!, before[key], after[key]);
    differences.push(...inside.differences);
    bytes += inside.bytes;
    if (bytes > MAX_PATH_BYTES) {
      return whole(place, { operation: 'CHANGED', before, after });
    }
  }
  return { differences, bytes };
}

/** What was found of one value: that it differs as a whole, or where inside. */
function list(place: Place, found: readonly Found[], before: unknown, after: unknown): Listed {
  const { type, path } = found[0]!;
  return path.length > place.depth
    ? listInside(place, found, before as Json, after as Json)
    : whole(place, {
        operation: OPERATIONS[type],
        ...(type !== 'CREATE' && { before }),
        ...(type !== 'REMOVE' && { after }),
      });
}

function whole({ path, bytes }: Place, difference: Omit<Difference, 'path'>): Listed {
  return { differences: [{ path, ...difference }], bytes: BYTES_EACH + bytes };
}

function placeIn({ path, bytes, depth }: Place, key: string | number): Place {
  const segment = `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return { path: path + segment, bytes: bytes + Buffer.byteLength(segment), depth: depth + 1 };
}
