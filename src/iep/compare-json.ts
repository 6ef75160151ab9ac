import diff from 'microdiff';

type Json = Record<string, unknown>;
type Path = readonly (string | number)[];

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

/**
 * The most that paths may take in bytes. Values are no larger than what is compared, but one long key stands in the path of
 * everything below it.
 */
const MAX_PATH_BYTES = 768 * 1024;
/** About what a difference takes beside its path and values. */
const BYTES_EACH = 32;

const OPERATIONS = { CREATE: 'ADDED', REMOVE: 'REMOVED', CHANGE: 'CHANGED' } as const;

/**
 * What differs in two objects that stand at `at`, a JSON pointer, sorted by path: keys by UTF-16 code units, as RFC 8785
 * does, and indexes by number. Arrays are compared index by index; an object and an array have nothing in common. When
 * there is too much to list, all of `at` is one difference.
 */
export function compareJson(at: string, before: Json, after: Json): Difference[] {
  const found = diff(bare(before) as Json, bare(after) as Json, { cyclesFix: false });
  if (!canBeListed(found)) {
    return [{ path: at, operation: 'CHANGED', before, after }];
  }
  return found
    .sort((one, other) => comparePaths(one.path, other.path))
    .map((difference) => ({
      path: at + pointerTo(difference.path),
      operation: OPERATIONS[difference.type],
      ...(difference.type !== 'CREATE' && { before: difference.oldValue as unknown }),
      ...(difference.type !== 'REMOVE' && { after: difference.value as unknown }),
    }));
}

/** A copy that inherits nothing: microdiff asks for keys by `in`, which finds "constructor" in every other object. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(bare);
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const copy = Object.create(null) as Json;
  for (const [key, item] of Object.entries(value)) {
    copy[key] = bare(item);
  }
  return copy;
}

function canBeListed(differences: readonly { path: Path }[]): boolean {
  let bytes = 0;
  for (const { path } of differences) {
    bytes += BYTES_EACH + Buffer.byteLength(pointerTo(path));
    if (bytes > MAX_PATH_BYTES) {
      return false;
    }
  }
  return true;
}

function pointerTo(path: Path): string {
  return path.map((segment) => `/${String(segment).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** No path of a list is the beginning of another, and where two part they part in one object or in one array. */
function comparePaths(one: Path, other: Path): number {
  const index = one.findIndex((segment, place) => segment !== other[place]);
  return one[index]! < other[index]! ? -1 : 1;
}
