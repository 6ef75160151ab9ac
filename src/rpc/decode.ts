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
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { type Struct, StructSchema, type Value } from '@bufbuild/protobuf/wkt';
import { Refusal } from '../iep/errors.ts';

/**
 * Reads a request from protobuf bytes. Unknown fields are tolerated: a newer client may send them. A Value without a kind
 * is undefined in what is read, where the library would have it look like a null.
 */
export function decodeBinary<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    const message = fromBinary(schema, bytes);
    markKindless(schema, message, bytes);
    return message;
  } catch {
    throw new Refusal('MALFORMED_REQUEST', { problem: `the bytes are no ${schema.typeName}` });
  }
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

/** Reads those Structs again, as they were sent, in which a Value without a kind stands, and looks like a null. */
function markKindless(schema: DescMessage, message: Message, bytes: Uint8Array): void {
  for (const field of schema.fields) {
    if (field.fieldKind !== 'message') {
      continue;
    }
    const value: unknown = Reflect.get(message, field.localName);
    if (isStruct(field)) {
      if (hasNull(value as JsonValue | undefined) && holdsKindless(bytesOf(field, bytes))) {
        Reflect.set(message, field.localName, jsonOfStruct(fromBinary(StructSchema, bytesOf(field, bytes))));
      }
    } else if (value !== undefined && field.message.fields.some(isStruct)) {
      markKindless(field.message, value as Message, bytesOf(field, bytes));
    }
  }
}

const isStruct = (field: DescField) => field.message?.typeName === StructSchema.typeName;

function hasNull(value: JsonValue | undefined): boolean {
  return value === null || (typeof value === 'object' && Object.values(value).some(hasNull));
}

/** A field's own bytes. Where it was sent more than once they follow one another, which merges them. */
function bytesOf({ number: wanted }: DescField, bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes);
  const found = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === wanted) {
      found.push(reader.bytes());
    } else {
      pass(reader, number, wireType);
    }
  }
  return found.length === 1 ? found[0]! : Buffer.concat(found);
}

/** Field of a Struct and of a ListValue: its entries, or its Values. */
const ITEM = 1;
/** Field of an entry. */
const ENTRY_VALUE = 2;
/** Fields of a Value; those below are kinds, too. */
const STRUCT = 5;
const LIST = 6;

/** Whether a Value without a kind stands in a Struct, which is looked through without making anything of it. */
const holdsKindless = (struct: Uint8Array): boolean => skimStruct(new BinaryReader(struct), struct.length);

const skimStruct = (reader: BinaryReader, end: number): boolean => skim(reader, end, ITEM, skimEntry, false);
const skimEntry = (reader: BinaryReader, end: number): boolean => skim(reader, end, ENTRY_VALUE, skimValue, true);
const skimList = (reader: BinaryReader, end: number): boolean => skim(reader, end, ITEM, skimValue, false);

/** Whether `inner` is true of any of these fields of the message that ends at `end`; `otherwise` where there is none. */
function skim(
  reader: BinaryReader,
  end: number,
  wanted: number,
  inner: (reader: BinaryReader, end: number) => boolean,
  otherwise: boolean,
): boolean {
  let found = otherwise;
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    if (number !== wanted) {
      pass(reader, number, wireType);
    } else if (inner(reader, endOf(reader))) {
      return true;
    } else {
      found = false;
    }
  }
  return found;
}

function skimValue(reader: BinaryReader, end: number): boolean {
  let isKindless = true;
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    isKindless &&= number > LIST;
    if (number !== STRUCT && number !== LIST) {
      pass(reader, number, wireType);
    } else if ((number === STRUCT ? skimStruct : skimList)(reader, endOf(reader))) {
      return true;
    }
  }
  return isKindless;
}

/** Goes past a field. The reader would make an array of what it skips. */
function pass(reader: BinaryReader, number: number, wireType: WireType): void {
  if (wireType === WireType.LengthDelimited) {
    reader.pos = endOf(reader);
  } else {
    reader.skip(wireType, number);
  }
}

/** Where the field of this length that begins here ends. */
function endOf(reader: BinaryReader): number {
  const length = reader.uint32();
  return reader.pos + length;
}

type Marked = JsonValue | undefined;

function jsonOfStruct({ fields }: Struct): Marked {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, jsonOf(value)])) as JsonObject;
}

function jsonOf({ kind }: Value): Marked {
  switch (kind.case) {
    case 'structValue':
      return jsonOfStruct(kind.value);
    case 'listValue':
      return kind.value.values.map(jsonOf) as JsonValue;
    case 'nullValue':
      return null;
    default:
      return kind.value;
  }
}
