type Json = Record<string, unknown>;
type Container = Json | readonly unknown[];

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

interface Place {
  readonly path: string;
  /** Of the path in UTF-8. Added up, because to ask for it makes a copy of a path that may never be listed. */
  readonly bytes: number;
}

/**
 * What differs in two objects that stand at `at`, a JSON pointer, by path: keys by UTF-16 code units, as RFC 8785 sorts
 * them, and indexes by number. Arrays are compared index by index; an object and an array have nothing in common. An object
 * or array in which there is too much to list is one difference, the innermost first.
 */
export function compareJson(at: string, before: Json, after: Json): Difference[] {
  const found: Difference[] = [];
  let bytes = 0;

  function add({ path, bytes: ofPath }: Place, operation: Difference['operation'], one: unknown, other: unknown): void {
    found.push({ path, operation, before: one, after: other });
    bytes += BYTES_EACH + ofPath;
  }

  /** JSON has no undefined: it stands for what is not there. */
  function compare(place: Place, one: unknown, other: unknown): void {
    if (one === undefined) {
      add(place, 'ADDED', one, other);
    } else if (other === undefined) {
      add(place, 'REMOVED', one, other);
    } else if (!isContainer(one) || !isContainer(other) || Array.isArray(one) !== Array.isArray(other)) {
      add(place, 'CHANGED', one, other);
    } else {
      compareInside(place, one, other);
    }
  }

  function compareInside(place: Place, one: Container, other: Container): void {
    const [foundBefore, bytesBefore] = [found.length, bytes];
    for (const key of keysToCompare(one, other)) {
      compare(placeIn(place, key), valueAt(one, key), valueAt(other, key));
      if (found.length - foundBefore > MAX_DIFFERENCES || bytes - bytesBefore > MAX_PATH_BYTES) {
        found.length = foundBefore;
        bytes = bytesBefore;
        add(place, 'CHANGED', one, other);
        return;
      }
    }
  }

  compareInside({ path: at, bytes: Buffer.byteLength(at) }, before, after);
  return found;
}

/** Where the values are not the same one, in the order of a list. Two objects or arrays may still turn out to be equal. */
function keysToCompare(one: Container, other: Container): readonly (string | number)[] {
  if (Array.isArray(one) && Array.isArray(other)) {
    return indexesToCompare(one, other);
  }
  const differing = Object.keys(one).filter((key) => valueAt(one, key) !== valueAt(other, key));
  const added = Object.keys(other).filter((key) => !Object.hasOwn(one, key));
  return [...differing, ...added].sort();
}

function indexesToCompare(one: readonly unknown[], other: readonly unknown[]): number[] {
  const indexes: number[] = [];
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    if (one[index] !== other[index]) {
      indexes.push(index);
    }
  }
  return indexes;
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

/** Undefined where the object has no such key itself: every object inherits "constructor". */
function valueAt(container: Container, key: string | number): unknown {
  return Object.hasOwn(container, key) ? (container as Json)[key] : undefined;
}

function placeIn({ path, bytes }: Place, key: string | number): Place {
  const segment = `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return { path: path + segment, bytes: bytes + Buffer.byteLength(segment) };
}
