/** Differences between documents to messages. Pure. */
import { create, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { type Change, ChangeOperation, ChangeSchema } from '../gen/iep/v1/comparison_pb.ts';
import type { Difference } from '../iep/compare-json.ts';

/**
 * The most single values in an answer: each is a message, which takes time to make however small it is. Documents say as
 * much only in tables of short numbers.
 */
const MAX_VALUES = 30_000;
/** The most that a change takes beside its path and its values, and a value beside its JSON. */
const BYTES_EACH = 32;

/**
 * Names every change, and leaves those values out that do not fit into `room` bytes with the names and with the values
 * before them, or that are too many: both documents may differ in all that they say.
 */
export function toChanges(differences: readonly Difference[], room: number): Change[] {
  let bytes = differences.reduce((left, { path }) => left - BYTES_EACH - Buffer.byteLength(path), room);
  let values = MAX_VALUES;
  return differences.map((difference) => {
    const { path, operation, before, after } = difference;
    const given = [before, after].filter((value) => value !== undefined);
    const count = countOf(given, values);
    const size = count > values ? Infinity : BYTES_EACH * count + Buffer.byteLength(JSON.stringify(given));
    if (size > bytes) {
      return toChange({ path, operation });
    }
    bytes -= size;
    values -= count;
    return toChange(difference);
  });
}

/** How many these are, with all that is in them; more than `most` are not counted to the end. */
function countOf(values: readonly unknown[], most: number): number {
  let count = values.length;
  for (const value of values) {
    if (count > most) {
      break;
    }
    if (typeof value === 'object' && value !== null) {
      count += countOf(itemsOf(value), most - count);
    }
  }
  return count;
}

/** Key by key: of an object with thousands of keys that takes a third of the time of Object.values. */
function itemsOf(container: object): readonly unknown[] {
  return Array.isArray(container)
    ? container
    : Object.keys(container).map((key) => (container as Record<string, unknown>)[key]);
}

function toChange({ path, operation, before, after }: Difference): Change {
  return create(ChangeSchema, {
    path,
    operation: ChangeOperation[operation],
    ...(before !== undefined && { before: toValue(before) }),
    ...(after !== undefined && { after: toValue(after) }),
  });
}

function toValue(json: unknown): Value {
  return fromJson(ValueSchema, json as JsonValue);
}
