/** What a client makes of a comparison: an independent reading of what the contract says about changes. */
import { type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { IepSchema } from '../../src/gen/iep/v1/iep_pb.ts';
import type { IepDocument } from '../../src/iep/iep-document.ts';
import { toIep } from '../../src/rpc/messages.ts';

/** A Change in ProtoJSON. */
export interface SeenChange {
  readonly path: string;
  readonly operation: string;
  readonly before?: JsonValue;
  readonly after?: JsonValue;
}

const DATES = ['meeting_date', 'effective_date', 'review_date'];

/** What a document says in ProtoJSON: its content, its goals by goal_key, its dates. */
export function statementOf(document: IepDocument): JsonObject {
  const json = toJson(IepSchema, toIep(document), { useProtoFieldName: true }) as JsonObject;
  const goals = ((json['goals'] ?? []) as JsonObject[]).map(({ id: _id, progress_status: _status, ...said }) => said);
  return {
    content: json['content']!,
    goals: Object.fromEntries(goals.map((goal) => [goal['goal_key'], goal])),
    ...Object.fromEntries(Object.entries(json).filter(([name]) => DATES.includes(name))),
  };
}

/** Makes the second statement of the first. Elements of arrays are removed from the last to the first. */
export function applyChanges(statement: JsonObject, changes: readonly SeenChange[]): JsonObject {
  const made = structuredClone(statement);
  const removed = changes.filter(({ operation }) => operation === 'CHANGE_OPERATION_REMOVED');
  const others = changes.filter((change) => !removed.includes(change));
  for (const { path, before } of removed.toReversed()) {
    const [container, key] = placeOf(made, path);
    requireSame(path, itemOf(container, key), before);
    if (Array.isArray(container)) {
      container.splice(Number(key), 1);
    } else {
      delete container[key];
    }
  }
  for (const { path, operation, before, after } of others) {
    const [container, key] = placeOf(made, path);
    requireSame(path, itemOf(container, key), operation === 'CHANGE_OPERATION_ADDED' ? undefined : before);
    Object.defineProperty(container, key, { value: after, enumerable: true, configurable: true, writable: true });
  }
  return made;
}

/** The changes with the values that were left out, read in the documents at their paths. */
export function withValues(changes: readonly SeenChange[], from: JsonObject, to: JsonObject): SeenChange[] {
  return changes.map((change) => {
    if (change.before !== undefined || change.after !== undefined) {
      return change;
    }
    const { path, operation } = change;
    const [before, after] = [valueAt(from, path), valueAt(to, path)];
    return { path, operation, ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
  });
}

/** The value of a document at a path; undefined where there is none. */
export function valueAt(root: JsonObject, pointer: string): JsonValue | undefined {
  const [container, key] = placeOf(root, pointer);
  return itemOf(container, key);
}

type Container = JsonObject | JsonValue[];

/** The array or object that a pointer leads into, and the last segment. */
function placeOf(root: JsonObject, pointer: string): [Container, string] {
  const segments = pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = segments.pop()!;
  return [segments.reduce<Container>((node, segment) => itemOf(node, segment) as Container, root), last];
}

function itemOf(container: Container, key: string): JsonValue | undefined {
  return Object.getOwnPropertyDescriptor(container, key)?.value as JsonValue | undefined;
}

function requireSame(path: string, found: JsonValue | undefined, said: JsonValue | undefined): void {
  if (JSON.stringify(found) !== JSON.stringify(said)) {
    throw new Error(`${path} holds ${JSON.stringify(found)}, not ${JSON.stringify(said)}`);
  }
}
