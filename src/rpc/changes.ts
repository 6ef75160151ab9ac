/** Differences between documents to messages. Pure. */
import { create, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { type Change, ChangeOperation, ChangeSchema, CompareIepsResponseSchema } from '../gen/iep/v1/comparison_pb.ts';
import type { Difference } from '../iep/compare-json.ts';

/**
 * Names every change, and leaves those values out that do not fit into `room` bytes with the names and with the values
 * before them: both documents may differ in all that they say.
 */
export function toChanges(differences: readonly Difference[], room: number): Change[] {
  const changes = differences.map(toChange);
  return bytesOf(changes) <= room ? changes : trimmed(changes, room);
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

function trimmed(changes: readonly Change[], room: number): Change[] {
  const names = changes.map(({ path, operation }) => create(ChangeSchema, { path, operation }));
  let bytes = bytesOf(names);
  return changes.map((change, index) => {
    const name = names[index]!;
    const more = bytesOf([change]) - bytesOf([name]);
    if (bytes + more > room) {
      return name;
    }
    bytes += more;
    return change;
  });
}

function bytesOf(changes: Change[]): number {
  return toBinary(CompareIepsResponseSchema, create(CompareIepsResponseSchema, { changes })).byteLength;
}
