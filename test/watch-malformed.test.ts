/** Watches begun with requests that cannot be read, over every protocol: the error, and the connection afterwards. */
import { gzipSync } from 'node:zlib';
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GetStudentRequestSchema, GetStudentResponseSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { enveloped, type RawWatches, rawGrpc, rawHttp } from './support/raw-watch.ts';
import { describeRefusals } from './support/refusal.ts';

const MIB_4 = 4 * 1024 * 1024;
const GZIP = 1;
const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (value: string) => Buffer.from(value);

describeRefusals('a watch that is begun', (fixture) => {
  const PROTOCOLS = [
    { protocol: 'gRPC', encodingHeader: 'grpc-encoding', json: false, open: () => rawGrpc(fixture.service) },
    {
      protocol: 'gRPC-Web',
      encodingHeader: 'grpc-encoding',
      json: false,
      open: () => rawHttp(fixture.service, 'application/grpc-web+proto'),
    },
    {
      protocol: 'gRPC-Web JSON',
      encodingHeader: 'grpc-encoding',
      json: true,
      open: () => rawHttp(fixture.service, 'application/grpc-web+json'),
    },
    {
      protocol: 'Connect',
      encodingHeader: 'connect-content-encoding',
      json: false,
      open: () => rawHttp(fixture.service, 'application/connect+proto'),
    },
    {
      protocol: 'Connect JSON',
      encodingHeader: 'connect-content-encoding',
      json: true,
      open: () => rawHttp(fixture.service, 'application/connect+json'),
    },
  ];
  const studentId = () => text(fixture.student.id);

  describe.each(PROTOCOLS)('over $protocol', ({ protocol, encodingHeader, json, open }) => {
    let watches: RawWatches;
    beforeAll(() => {
      watches = open();
    });
    afterAll(() => watches.close());

    const good = () =>
      json ? text(JSON.stringify({ studentId: fixture.student.id })) : Buffer.concat([bytes(0x0a, 36), studentId()]);
    const filler = (size: number) =>
      json ? text('{}'.padEnd(size)) : Buffer.concat([bytes(0xc2, 0x3e), varint(size - 6), Buffer.alloc(size - 6)]);
    const compressed = (message: Uint8Array) => enveloped(gzipSync(message), GZIP);
    const gzip = { [encodingHeader]: 'gzip' };

    /** Whatever the last one was, the connection is good for another call. */
    const expectNextCall = async () => {
      const request = create(GetStudentRequestSchema, { studentId: fixture.student.id });
      const answer = await watches.getStudent(
        json ? text(toJsonString(GetStudentRequestSchema, request)) : toBinary(GetStudentRequestSchema, request),
      );
      const { student } = json
        ? fromJsonString(GetStudentResponseSchema, answer.toString())
        : fromBinary(GetStudentResponseSchema, answer);
      expect(student).toEqual(fixture.student);
    };

    it.each<[string, () => Uint8Array, Record<string, string>?]>([
      ['a request', () => enveloped(good())],
      ['a compressed request', () => compressed(good()), gzip],
      ['a request that could have been compressed', () => enveloped(good()), gzip],
      ['exactly 4 MiB', () => enveloped(filler(MIB_4))],
      ['exactly 4 MiB, compressed', () => compressed(filler(MIB_4)), gzip],
    ])('with %s, begins', async (_what, body, headers) => {
      expect(await watches.begin(body(), headers)).toBe('a message');
      await expectNextCall();
    });

    it.each<[string, () => Uint8Array, Record<string, string>?]>([
      ['a message that cannot be read', () => enveloped(json ? text('{"studentId"') : bytes(0x0a))],
      ['a field of another type', () => enveloped(json ? text('{"studentId":5}') : bytes(0x0f))],
      [
        'invalid UTF-8',
        () => enveloped(json ? Buffer.from('{"studentId":"\u00ff"}', 'latin1') : bytes(0x0a, 2, 0xc3, 0x28)),
      ],
      ['fewer bytes than there are', () => enveloped(good(), 0, good().length - 1)],
      ['a compressed message that cannot be read', () => compressed(text('\u000f')), gzip],
      ['compression that no header names', () => compressed(good())],
    ])('with %s, is refused', async (_what, body, headers) => {
      expect(await watches.begin(body(), headers)).toBe('InvalidArgument MALFORMED_REQUEST');
      await expectNextCall();
    });

    it.each<[string, () => Uint8Array, Record<string, string>?]>([
      ['4 MiB and a byte', () => enveloped(filler(MIB_4 + 1))],
      ['12 MiB', () => enveloped(filler(3 * MIB_4))],
      ['4 MiB and a byte, compressed', () => compressed(filler(MIB_4 + 1)), gzip],
      ['64 MiB, compressed', () => compressed(filler(16 * MIB_4)), gzip],
    ])('with %s, is refused', async (_what, body, headers) => {
      expect(await watches.begin(body(), headers)).toBe('ResourceExhausted');
      await expectNextCall();
    });

    // What grpc-js finds before the service has its bytes, it says in its own way.
    it.each<[string, string, () => Uint8Array, Record<string, string>?]>([
      ['a byte more than there is', 'Unimplemented', () => enveloped(good(), 0, good().length + 1)],
      ['5 MiB that are not there', 'ResourceExhausted', () => enveloped(good(), 0, 5 * 1024 * 1024)],
      ['4 GiB that are not there', 'ResourceExhausted', () => enveloped(good(), 0, 0xffffffff)],
      ['two messages', 'Unimplemented', () => Buffer.concat([enveloped(good()), enveloped(good())])],
      ['no message', 'Unimplemented', () => Buffer.alloc(0)],
      ['half an envelope', 'Unimplemented', () => Buffer.alloc(3)],
      ['bytes that are not compressed', 'Internal', () => enveloped(text('x'.repeat(50)), GZIP), gzip],
      ['compressed bytes that were cut', 'Internal', () => enveloped(gzipSync(good()).subarray(0, -9), GZIP), gzip],
    ])('with %s, is refused', async (_what, byGrpcJs, body, headers) => {
      const expected = protocol === 'gRPC' ? byGrpcJs : 'InvalidArgument MALFORMED_REQUEST';
      expect(await watches.begin(body(), headers)).toBe(expected);
      await expectNextCall();
    });

    it('with an unknown compression, is refused', async () => {
      expect(await watches.begin(compressed(good()), { [encodingHeader]: 'zip' })).toBe('Unimplemented');
      await expectNextCall();
    });
  });
});

/** In four bytes. */
function varint(value: number): Buffer {
  return Buffer.from([0, 7, 14, 21].map((shift) => ((value >> shift) & 0x7f) | (shift < 21 ? 0x80 : 0)));
}
