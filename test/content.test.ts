/** The district's own sections: what is refused in them, and that the rest survives as it is. */
import { create, type JsonObject, type JsonValue, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { NullValue, StructSchema, type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import canonicalize from 'canonicalize';
import { describe, expect, it } from 'vitest';
import { CreateIepRequestSchema, IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals, invalid, malformed, refusalOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type RunningService } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';
import { binarySenders, jsonSender } from './support/wire.ts';

const { createIep } = IEPService.method;
const CONTENT = createIep.input.fields.find(({ name }) => name === 'content')!;
const KIB_256 = 256 * 1024;

type Fields = Record<string, Value>;

const number = (value: number) => create(ValueSchema, { kind: { case: 'numberValue', value } });
const string = (value: string) => create(ValueSchema, { kind: { case: 'stringValue', value } });
const none = create(ValueSchema, { kind: { case: 'nullValue', value: NullValue.NULL_VALUE } });
const kindless = create(ValueSchema);
const struct = (fields: Fields) =>
  create(ValueSchema, { kind: { case: 'structValue', value: create(StructSchema, { fields }) } });
const list = (...values: Value[]) => create(ValueSchema, { kind: { case: 'listValue', value: { values } } });

/** A CreateIepRequest as bytes. Only so can a client send a Value without a kind. */
function requestBytes(over: MessageInitShape<typeof CreateIepRequestSchema>, ...contents: Fields[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const fields of contents) {
    writer.tag(CONTENT.number, WireType.LengthDelimited);
    writer.bytes(toBinary(StructSchema, create(StructSchema, { fields })));
  }
  const rest = create(CreateIepRequestSchema, { academicYear: YEAR, ...over });
  return Buffer.concat([toBinary(CreateIepRequestSchema, rest), writer.finish()]);
}

/** Structs in one another, `depth` containers in all. */
function nested(depth: number): JsonObject {
  return depth === 1 ? {} : { a: nested(depth - 1) };
}

/** Lists in one another in a Struct, `depth` containers in all, with a leaf in the innermost. */
function nestedLists(depth: number): JsonObject {
  let lists: JsonValue[] = ['leaf'];
  for (let count = 2; count < depth; count++) {
    lists = [lists];
  }
  return { a: lists };
}

/** Content of exactly so many bytes of canonical JSON. */
function ofBytes(bytes: number, character = 'x'): JsonObject {
  const room = bytes - '{"a":""}'.length;
  const width = Buffer.byteLength(JSON.stringify(character)) - 2;
  return { a: character.repeat(Math.floor(room / width)) + 'x'.repeat(room % width) };
}

const BAD_VALUES: [string, Fields, ...string[]][] = [
  ['NaN', { a: number(NaN) }, 'content.a'],
  ['infinities', { a: number(Infinity), b: list(number(1), number(-Infinity)) }, 'content.a', 'content.b[1]'],
  ['a Value without a kind', { a: kindless }, 'content.a'],
  ['one next to a null', { a: none, b: struct({ c: kindless, d: none }) }, 'content.b.c'],
  ['several in lists', { a: list(none, kindless, list(kindless)) }, 'content.a[1]', 'content.a[2][0]'],
  ['U+0000 in a string', { a: string('a\u0000b') }, 'content.a'],
  ['U+0000 in a key', { 'a\u0000b': string('') }, 'content.a\ufffdb'],
];

describeRefusals('bad content', (fixture) => {
  describe.each(['gRPC', 'Connect', 'gRPC-Web'])('over %s', (protocol) => {
    const send = (bytes: Uint8Array) => binarySenders(fixture.service)[protocol]!(createIep, bytes);

    it.each(BAD_VALUES)('refuses %s', async (_what, content, ...fields) => {
      const bytes = requestBytes({ studentId: fixture.student.id }, content);
      expect(await refusalOf(send(bytes))).toEqual(invalid(...fields));
    });

    it('reports a Value without a kind together with other bad fields', async () => {
      const bytes = requestBytes({ studentId: fixture.student.id, academicYear: '2025', kind: 4 }, { a: kindless });
      const { fields } = await refusalOf(send(bytes));
      expect(fields?.toSorted()).toEqual(['academic_year', 'based_on_iep_id', 'content.a']);
    });

    it('finds it in content that comes in two pieces', async () => {
      const bytes = requestBytes({ studentId: fixture.student.id }, { a: none, b: kindless }, { c: number(1) });
      expect(await refusalOf(send(bytes))).toEqual(invalid('content.b'));
    });

    it('refuses a Struct deeper than the decoder goes', async () => {
      let deep = struct({});
      for (let depth = 0; depth < 100; depth++) {
        deep = struct({ a: deep });
      }
      expect(await refusalOf(send(requestBytes({ studentId: fixture.student.id }, { a: deep })))).toEqual(malformed);
    });
  });

  it.each([
    ['U+0000', String.raw`{"a":"\u0000"}`, 'content.a'],
    ['a lone surrogate', String.raw`{"a":["\ud800"]}`, 'content.a[0]'],
    ['surrogates in the wrong order', String.raw`{"a":{"b":"\udc00\ud800"}}`, 'content.a.b'],
    ['a lone surrogate in a key', String.raw`{"a\udfff":1}`, 'content.a\ufffd'],
    ['a number beyond doubles', '{"a":1e400}', 'content.a'],
  ])('refuses %s in JSON', async (_what, content, field) => {
    const json = `{"studentId":"${fixture.student.id}","academicYear":"${YEAR}","content":${content}}`;
    expect(await refusalOf(jsonSender(fixture.service)(createIep, Buffer.from(json)))).toEqual(invalid(field));
  });

  it('refuses JSON that is nested without end', async () => {
    const content = `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`;
    const json = `{"studentId":"${fixture.student.id}","academicYear":"${YEAR}","content":${content}}`;
    const { code, committed } = await refusalOf(jsonSender(fixture.service)(createIep, Buffer.from(json)));
    expect({ code, committed }).toEqual({ code: 'InvalidArgument', committed: 'no' });
  });

  it.each([
    ['17 deep', nested(17), `content${'.a'.repeat(16)}`],
    ['17 deep in lists', nestedLists(17), `content.a${'[0]'.repeat(15)}`],
    ['a byte over 256 KiB', ofBytes(KIB_256 + 1), 'content'],
    ['a byte over 256 KiB in characters of two bytes', ofBytes(KIB_256 + 1, 'é'), 'content'],
    ['a byte over 256 KiB in escapes', ofBytes(KIB_256 + 1, '\n'), 'content'],
  ])('refuses content that is %s', async (_what, content, field) => {
    const studentId = fixture.student.id;
    for (const client of Object.values(clientsOf(fixture.service))) {
      expect(await refusalOf(client.createIep({ studentId, academicYear: YEAR, content }))).toEqual(invalid(field));
    }
  });
});

describeOnBoth('content', (backend) => {
  let service: RunningService;
  startForSuite(backend, (started) => ({ service } = started));

  it.each<[string, JsonObject]>([
    ['nothing', {}],
    ['16 deep', nested(16)],
    ['16 deep in lists', nestedLists(16)],
    ['exactly 256 KiB', ofBytes(KIB_256)],
    ['exactly 256 KiB in characters of four bytes', ofBytes(KIB_256, '🦉')],
    ['every kind of value', { a: null, b: true, c: false, d: '', e: [], f: {}, g: [null, [], {}] }],
    ['numbers at the limits', { a: 5e-324, b: Number.MAX_VALUE, c: -(2 ** 53), d: 0.1 + 0.2, e: 1e21 }],
    ['text that names would lose', { ' a ': '  e\u0301 \u202e\u200b\t\r\n\u0007 ', '': '' }],
    ['what could be SQL', { "a'b": `'; drop table students; --`, '?': ['?', '$1', ':a', '%s', '\\', '"', '`', '{}'] }],
    [
      'what could be a prototype',
      JSON.parse('{"__proto__":{"a":1},"b":{"__proto__":2},"constructor":3}') as JsonObject,
    ],
    ['keys that look like numbers', { '10': 'a', '9': 'b', '-1': 'c' }],
  ])('keeps %s, over every protocol', async (_what, content) => {
    const clients = Object.values(clientsOf(service));
    const studentId = await newStudent(service.client);
    for (const client of clients) {
      const { iep } = await client.createIep({ studentId, academicYear: YEAR, content });
      expect(canonicalize(iep?.content)).toBe(canonicalize(content));
    }
    for (const client of clients) {
      const { ieps } = await client.listIeps({ studentId });
      expect(ieps.map((iep) => canonicalize(iep.content))).toEqual(clients.map(() => canonicalize(content)));
    }
  });

  it('keeps -0 as 0', async () => {
    const studentId = await newStudent(service.client);
    const { iep } = await service.client.createIep({ studentId, academicYear: YEAR, content: { a: -0, b: [-0] } });
    expect(iep?.content).toStrictEqual({ a: 0, b: [0] });
    expect((await service.client.getIep({ iepId: iep!.id })).iep?.content).toStrictEqual({ a: 0, b: [0] });
  });
});
