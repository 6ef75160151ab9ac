/** Differences between documents to messages. Pure. */
import { create, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { type Change, ChangeOperation, ChangeSchema } from '../gen/iep/v1/comparison_pb.ts';
import type { Difference } from '../iep/compare-json.ts';

/** Leaves the values out that do not fit into `room` bytes: both documents may differ in all that they say. */
export function toChanges(differences: readonly Difference[], room: number): Change[] {
  let bytes = 0;
  return differences.map((difference) => {
    const whole = toChange(difference);
    const fits = bytes + bytesOf(whole) <= room;
    const change = fits ? whole : create(ChangeSchema, { path: whole.path, operation: whole.operation });
    bytes += bytesOf(change);
    return change;
  });
}

function bytesOf(change: Change): number {
  return toBinary(ChangeSchema, change).byteLength;
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
