/** Watches whose client does not read before it is told to, past what the sockets take. */
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { connect } from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type WatchIepsResponse,
  WatchIepsRequestSchema,
  WatchIepsResponseSchema,
} from '../../src/gen/iep/v1/watch_pb.ts';

const PATH = '/iep.v1.IEPService/WatchIeps';
/** Flags and length before each message, in both protocols. */
const ENVELOPE_BYTES = 5;

export interface IdleWatch {
  /** Begins to read, and calls `take` with each message. */
  read(take: (message: WatchIepsResponse) => void): void;
  readonly close: () => void;
}

function request(studentId: string): Buffer {
  const message = toBinary(WatchIepsRequestSchema, create(WatchIepsRequestSchema, { studentId }));
  const envelope = Buffer.alloc(ENVELOPE_BYTES);
  envelope.writeUInt32BE(message.length, 1);
  return Buffer.concat([envelope, message]);
}

function readMessages(stream: Readable, take: (message: WatchIepsResponse) => void): void {
  let chunks: Buffer[] = [];
  let length = 0;
  let wanted = ENVELOPE_BYTES;
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    while (length >= wanted) {
      const bytes = Buffer.concat(chunks);
      const end = ENVELOPE_BYTES + bytes.readUInt32BE(1);
      const whole = length >= end;
      if (whole && bytes[0] === 0) {
        take(fromBinary(WatchIepsResponseSchema, bytes.subarray(ENVELOPE_BYTES, end)));
      }
      chunks = [whole ? bytes.subarray(end) : bytes];
      length = chunks[0]!.length;
      wanted = whole ? ENVELOPE_BYTES : end;
    }
  });
}

/**
 * Begins one by native gRPC; it has answered when this returns. grpc-js would read on its own. With a window of its own,
 * what the client does not read fills the sockets; by default HTTP/2 stops the service at 64 KiB.
 */
export async function idleByGrpc(url: string, studentId = '', windowBytes?: number): Promise<IdleWatch> {
  const session = connect(url, windowBytes === undefined ? {} : { settings: { initialWindowSize: windowBytes } });
  session.on('error', () => undefined);
  if (windowBytes !== undefined) {
    await once(session, 'connect');
    session.setLocalWindowSize(windowBytes);
  }
  const headers = { ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers);
  stream.on('error', () => undefined);
  stream.end(request(studentId));
  await once(stream, 'response');
  return { read: (take) => readMessages(stream, take), close: () => session.destroy() };
}

/** Begins one by Connect over HTTP/1.1; it has answered when this returns. */
export async function idleByHttp(url: string, studentId = ''): Promise<IdleWatch> {
  const call = httpRequest(`${url}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' },
  });
  call.on('error', () => undefined);
  call.end(request(studentId));
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return { read: (take) => readMessages(response, take), close: () => void call.destroy() };
}

export interface Between {
  readonly url: string;
  /** Takes nothing from the service any more. */
  readonly freeze: () => void;
  readonly close: () => void;
}

/** Stands between clients and `url`, and never ends a connection of its own, as a client that is frozen does not. */
export async function openNeverEnding(url: string): Promise<Between> {
  const { hostname: host, port } = new URL(url);
  const sockets: Socket[] = [];
  const ofService: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connectSocket({ host, port: Number(port), allowHalfOpen: true });
    sockets.push(near, far);
    ofService.push(far);
    [near, far].forEach((socket) => socket.on('error', () => undefined));
    near.pipe(far, { end: false });
    far.pipe(near, { end: false });
  });
  server.listen(0, host);
  await once(server, 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    freeze: () => ofService.forEach((socket) => socket.unpipe().pause()),
    close() {
      server.close();
      sockets.forEach((socket) => socket.destroy());
    },
  };
}
