import {
  type DescField,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type JsonObject,
  type JsonValue,
  type Message,
  type MessageShape,
} from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type ListValue, type Struct, StructSchema, type Value } from '@bufbuild/protobuf/wkt';
import { invalidField, Refusal } from '../iep/errors.ts';

/** Reads a request from protobuf bytes. Unknown fields are tolerated: a newer client may send them. */
export function decodeBinary<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  let message;
  try {
    message = fromBinary(schema, bytes);
  } catch {
    throw new Refusal('MALFORMED_REQUEST', { problem: `the bytes are no ${schema.typeName}` });
  }
  // A Struct is read into plain JSON, where a Value without a kind looks like a null.
  for (const { path, struct } of structsWithNulls(schema, message, bytes)) {
    const kindless = kindlessIn(struct, path);
    if (kindless !== undefined) {
      throw invalidField(kindless, 'must be a Value with a kind');
    }
  }
  return message;
}

/** Reads a request from JSON. Unknown fields and names are refused: a misspelt one must not be taken for its absence. */
export function decodeJson<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromJsonString(schema, new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Refusal('MALFORMED_REQUEST', { problem: `the JSON is no ${schema.typeName}${fieldOf(error)}` });
  }
}

/** Which field was wrong, without its value. */
function fieldOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const named = /^cannot decode (?:field|message) (\S+) from JSON: key "([^"]{1,64})" is unknown/.exec(message);
  if (named) {
    return `, it has no field "${named[2]}"`;
  }
  const field = /^cannot decode (?:field|enum) (\S+) from JSON/.exec(message);
  return field ? `, see ${field[1]}` : '';
}

interface FoundStruct {
  readonly path: string;
  readonly struct: Struct;
}

/** The Structs of a message in which a null stands, as they were sent. */
function* structsWithNulls(
  schema: DescMessage,
  message: Message,
  bytes: Uint8Array,
  prefix = '',
): Generator<FoundStruct> {
  const suspects = schema.fields.filter((field) => field.fieldKind === 'message' && isSuspect(message, field));
  if (suspects.length === 0) {
    return;
  }
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = suspects.find((suspect) => suspect.number === number);
    if (field === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    const inner = reader.bytes();
    const path = `${prefix}${field.name}`;
    if (isStruct(field)) {
      yield { path, struct: fromBinary(StructSchema, inner) };
    } else {
      yield* structsWithNulls(field.message!, valueOf(message, field) as Message, inner, `${path}.`);
    }
  }
}

const isStruct = (field: DescField) => field.message?.typeName === StructSchema.typeName;
const valueOf = (message: Message, field: DescField) =>
  (message as unknown as Record<string, unknown>)[field.localName];

/** Whether a field may hold a Value without a kind: a Struct with a null, or a message that may have one. */
function isSuspect(message: Message, field: DescField): boolean {
  const value = valueOf(message, field);
  return value !== undefined && (isStruct(field) ? hasNull(value as JsonObject) : field.message!.fields.some(isStruct));
}

function hasNull(value: JsonValue): boolean {
  return value === null || (typeof value === 'object' && Object.values(value).some(hasNull));
}

/** Path of the first Value without a kind. */
function kindlessIn(container: Struct | ListValue, path: string): string | undefined {
  const values: [string, Value][] =
    container.$typeName === 'google.protobuf.Struct'
      ? Object.entries(container.fields).map(([key, value]) => [`${path}.${key}`, value])
      : container.values.map((value, index) => [`${path}[${index}]`, value]);
  for (const [inner, { kind }] of values) {
    if (kind.case === undefined) {
      return inner;
    }
    if (kind.case === 'structValue' || kind.case === 'listValue') {
      const found = kindlessIn(kind.value, inner);
      if (found !== undefined) {
        return found;
      }
    }
  }
  return undefined;
}
