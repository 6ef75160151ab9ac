/** Watches whose client does not read, past what its buffers take. */
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  type WatchIepsResponse,
  WatchIepsRequestSchema,
  WatchIepsResponseSchema,
} from '../../src/gen/iep/v1/watch_pb.ts';

const PATH = '/iep.v1.IEPService/WatchIeps';

export interface IdleWatch {
  /** Begins to read, and calls `take` with each message. */
  read(take: (message: WatchIepsResponse) => void): void;
  close(): void;
}

const requestBytes = (studentId: string) =>
  Buffer.from(toBinary(WatchIepsRequestSchema, create(WatchIepsRequestSchema, { studentId })));

/** Begins one by native gRPC; it has answered when this returns. */
export async function idleByGrpc(url: string, studentId = ''): Promise<IdleWatch> {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const asIs = (bytes: Buffer) => bytes;
  const call = client.makeServerStreamRequest(PATH, asIs, asIs, requestBytes(studentId), new Metadata(), {});
  call.on('error', () => undefined);
  await once(call, 'metadata');
  return {
    read: (take) => void call.on('data', (bytes: Buffer) => take(fromBinary(WatchIepsResponseSchema, bytes))),
    close() {
      call.cancel();
      client.close();
    },
  };
}

/** Begins one by Connect over HTTP/1.1; it has answered when this returns. */
export async function idleByHttp(url: string, studentId = ''): Promise<IdleWatch> {
  const message = requestBytes(studentId);
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(message.length, 1);
  const request = httpRequest(`${url}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' },
  });
  request.on('error', () => undefined);
  request.end(Buffer.concat([envelope, message]));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return {
    read(take) {
      let rest = Buffer.alloc(0);
      response.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          if (rest[0] === 0) {
            take(fromBinary(WatchIepsResponseSchema, rest.subarray(5, end)));
          }
          rest = rest.subarray(end);
        }
      });
    },
    close: () => request.destroy(),
  };
}
