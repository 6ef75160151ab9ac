/** Requests that are no such message, and requests that are too large, over every protocol. */
import { toBinary, toJsonString, create } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Code } from '@connectrpc/connect';
import { describe, expect, it } from 'vitest';
import { CreateStudentRequestSchema, IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals, invalid, malformed, refusalOf } from './support/refusal.ts';
import { sampleStudent, YEAR } from './support/samples.ts';
import { clientsOf, failureOf, startInProcess } from './support/service.ts';
import { binarySenders, getSender, jsonSender } from './support/wire.ts';

const { createIep, createStudent, getStudent, listStudents } = IEPService.method;
const MIB_4 = 4 * 1024 * 1024;

const bytesOf = (...bytes: number[]) => Uint8Array.from(bytes);
const textOf = (text: string) => new TextEncoder().encode(text);

const STUDENT = toBinary(CreateStudentRequestSchema, create(CreateStudentRequestSchema, { student: sampleStudent() }));

/** CreateStudentRequest with these bytes as given_name. */
function withGivenName(name: Uint8Array): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(3, WireType.LengthDelimited).string('S-1');
  writer.tag(4, WireType.LengthDelimited).bytes(name);
  writer.tag(5, WireType.LengthDelimited).string('Lovelace');
  return writer.join().finish();
}

/** A CreateIepRequest of so many bytes, most of them in a field that the service does not know. */
function ofSize(size: number): Uint8Array {
  const head = new BinaryWriter().tag(1000, WireType.LengthDelimited).finish();
  const lengthBytes = 4;
  const filler = new Uint8Array(size - head.byteLength - lengthBytes);
  return new BinaryWriter().raw(head).bytes(filler).finish();
}

describeRefusals('malformed requests', (fixture) => {
  describe.each(['gRPC', 'Connect', 'gRPC-Web'])('over %s', (protocol) => {
    it.each([
      ['a field without a value', bytesOf(0x0a)],
      ['a message longer than the rest', bytesOf(0x0a, 0x7f, 0x01)],
      ['a request that was cut', STUDENT.subarray(0, -3)],
      ['field number 0', bytesOf(0x02, 0x00)],
      ['wire type 7', bytesOf(0x0f)],
      ['an endless varint', new Uint8Array(12).fill(0xff)],
      ['a group that never ends', bytesOf(0x13, 0x08)],
      ['JSON', textOf('{"student":{}}')],
      ['invalid UTF-8', withGivenName(bytesOf(0xc3, 0x28))],
      ['a surrogate in UTF-8', withGivenName(bytesOf(0xed, 0xa0, 0x80))],
    ])('refuses %s', async (_what, bytes) => {
      expect(await refusalOf(binarySenders(fixture.service)[protocol]!(createStudent, bytes))).toEqual(malformed);
    });

    it('tolerates fields that it does not know', async () => {
      const bytes = Buffer.concat([STUDENT, bytesOf(0xfa, 0x3e, 0x03, 0x61, 0x62, 0x63)]);
      const send = binarySenders(fixture.service)[protocol]!;
      const badNumber = Buffer.concat([bytes, textOf('\u0012\u0001x')]);
      expect(await refusalOf(send(createStudent, badNumber))).toEqual(invalid('request_id'));
    });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"student":'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a field of the wrong type', '{"student":5}'],
    ['a text that is no text', '{"student":{"givenName":7}}'],
    ['an unknown field', '{"student":{"givenNames":"Ada"}}'],
    ['a misspelt enum name', '{"student":{"disabilities":["DISABILITY_AUTISMM"]}}'],
    ['an enum name without its prefix', '{"student":{"disabilities":["AUTISM"]}}'],
    ['a field under both of its names', '{"student":{"givenName":"Ada","given_name":"Eve"}}'],
    [
      'invalid UTF-8',
      Buffer.from('{"student":{"studentNumber":"S","givenName":"\u00ff","familyName":"Ng"}}', 'latin1'),
    ],
  ])('refuses %s in JSON', async (_what, text) => {
    expect(await refusalOf(jsonSender(fixture.service)(createStudent, Buffer.from(text)))).toEqual(malformed);
  });

  it.each([
    ['a misspelt kind', '"kind":"IEP_KIND_AMENDMEND"'],
    ['a page size that is no int32', '"expectedLatestVersion":1.5'],
    ['an unknown field', '"validate_onyl":true'],
  ])('refuses %s in JSON', async (_what, field) => {
    const json = `{"studentId":"${fixture.student.id}","academicYear":"${YEAR}",${field}}`;
    expect(await refusalOf(jsonSender(fixture.service)(createIep, Buffer.from(json)))).toEqual(malformed);
  });

  it('names the JSON field that is wrong', async () => {
    const send = jsonSender(fixture.service);
    const unknown = await failureOf(send(createStudent, textOf('{"student":{"givenNames":"secret"}}')));
    const wrong = await failureOf(send(createStudent, textOf('{"student":{"givenName":["secret"]}}')));
    expect(unknown.rawMessage).toContain('"givenNames"');
    expect(wrong.rawMessage).toContain('given_name');
    expect(unknown.rawMessage + wrong.rawMessage).not.toContain('secret');
  });

  it('refuses unknown enum numbers, which a binary request may hold', async () => {
    const json = `{"studentId":"${fixture.student.id}","academicYear":"${YEAR}","kind":7,"goals":[
      {"goalText":"reads","domain":13,"measurementFrequency":6}]}`;
    expect(await refusalOf(jsonSender(fixture.service)(createIep, textOf(json)))).toEqual(
      invalid('kind', 'goals[0].measurement_frequency', 'goals[0].domain'),
    );
    const list = '{"disability":15}';
    expect(await refusalOf(jsonSender(fixture.service)(listStudents, textOf(list)))).toEqual(invalid('disability'));
  });

  describe('by GET', () => {
    it('reads requests', async () => {
      const { student, service } = fixture;
      const json = getSender(service, false)(getStudent, textOf(`{"studentId":"${student.id}"}`));
      await expect(json).resolves.toMatchObject({ message: { student } });
    });

    it.each([
      ['bytes', true, bytesOf(0x0a)],
      ['JSON', false, textOf('{"studentID":"x"}')],
    ])('refuses malformed %s', async (_what, useBinaryFormat, message) => {
      expect(await refusalOf(getSender(fixture.service, useBinaryFormat)(getStudent, message))).toEqual(malformed);
    });

    it.each([
      ['no base64', 400, 'encoding=json&base64=1&message=%25%25'],
      ['no encoding', 415, 'message=%7B%7D'],
      ['an unknown compression', 501, 'encoding=json&compression=zip&message=%7B%7D'],
      ['bytes that are not compressed', 400, 'encoding=proto&compression=gzip&message=abc'],
      ['no message', 400, 'encoding=json'],
    ])('answers %s with HTTP status %i', async (_what, status, query) => {
      const answer = await fetch(`${fixture.service.httpUrl}/iep.v1.IEPService/GetStudent?connect=v1&${query}`);
      expect(answer.status).toBe(status);
    });
  });

  describe.each(['gRPC', 'Connect', 'gRPC-Web'])('size over %s', (protocol) => {
    it('takes a request of exactly 4 MiB', async () => {
      const send = binarySenders(fixture.service)[protocol]!;
      expect(await refusalOf(send(createIep, ofSize(MIB_4)))).toEqual(invalid('student_id', 'academic_year'));
    });

    it.each([MIB_4 + 1, MIB_4 + 10, 3 * MIB_4])('refuses one of %i bytes', async (size) => {
      const { code } = await failureOf(binarySenders(fixture.service)[protocol]!(createIep, ofSize(size)));
      expect(Code[code]).toBe('ResourceExhausted');
    });
  });

  it.each([MIB_4 + 1, 3 * MIB_4])('refuses %i bytes of JSON', async (size) => {
    const json = toJsonString(CreateStudentRequestSchema, create(CreateStudentRequestSchema));
    const { code } = await failureOf(jsonSender(fixture.service)(createStudent, textOf(json.padEnd(size))));
    expect(Code[code]).toBe('ResourceExhausted');
  });

  it('goes on after all of that', async () => {
    for (const client of Object.values(clientsOf(fixture.service))) {
      expect((await client.getStudent({ studentId: fixture.student.id })).student).toEqual(fixture.student);
    }
  });
});

it('leaves a line in the log for every request that cannot be read, without a word of it', async () => {
  const service = await startInProcess('sqlite::memory:', { LOG_LEVEL: 'info' });
  const senders = { ...binarySenders(service), JSON: jsonSender(service) };
  for (const send of Object.values(senders)) {
    expect(await refusalOf(send(createStudent, textOf('{"student":"Lovelace"}')))).toEqual(malformed);
  }
  const lines = service.log.lines.filter(({ reason }) => reason === 'MALFORMED_REQUEST');
  expect(lines).toHaveLength(Object.keys(senders).length);
  expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(lines.length);
  expect(JSON.stringify(service.log.lines)).not.toContain('Lovelace');
  await service.stop();
});
