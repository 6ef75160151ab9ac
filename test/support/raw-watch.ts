/** Watches begun with bytes of the test's choice, over every protocol, each on one connection that can be used again. */
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import type { Readable } from 'node:stream';
import { Code, type ConnectError } from '@connectrpc/connect';
import { endStreamFromJson } from '@connectrpc/connect/protocol-connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { trailerParse } from '@connectrpc/connect/protocol-grpc-web';
import { ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import type { RunningService } from './service.ts';

const SERVICE = '/iep.v1.IEPService';
/** Flags and length before each message, in every protocol. */
const ENVELOPE_BYTES = 5;
const CONNECT_END = 0x02;
const WEB_TRAILER = 0x80;

/** How a watch began: with "a message", or with an error, its code and the reason where there is one. */
type Beginning = string;

export interface RawWatches {
  /** Sends the body of a WatchIeps, and answers how it begins; the watch is ended then. */
  begin(body: Uint8Array, headers?: Record<string, string>): Promise<Beginning>;
  /** The body of a GetStudent on the same connection, and its answer; fails when the connection was lost meanwhile. */
  getStudent(body: Uint8Array): Promise<Buffer>;
  close(): void;
}

export function enveloped(message: Uint8Array, flags = 0, length = message.byteLength): Buffer {
  const prefix = Buffer.alloc(ENVELOPE_BYTES);
  prefix[0] = flags;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** By native gRPC, past grpc-js. */
export function rawGrpc({ grpcUrl }: RunningService): RawWatches {
  // In megabytes: what it has to send counts.
  const session = connect(grpcUrl, { maxSessionMemory: 100 });
  const call = (rpc: string, body: Uint8Array, headers: Record<string, string> = {}) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `${SERVICE}/${rpc}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    // What the service did not wait for.
    stream.on('error', () => undefined);
    stream.end(body);
    return stream;
  };
  return {
    async begin(body, headers) {
      const stream = call('WatchIeps', body, headers);
      let trailers: IncomingHttpHeaders = {};
      stream.on('response', (answer) => (trailers = answer));
      stream.on('trailers', (answer) => (trailers = answer));
      const [message] = await envelopes(stream, 1);
      stream.close();
      return message === undefined ? described(findTrailerError(headersOf(trailers))) : 'a message';
    },
    async getStudent(body) {
      expectOpen(session);
      const [message] = await envelopes(call('GetStudent', enveloped(body)), 1);
      return message!.data;
    },
    close: () => session.destroy(),
  };
}

function expectOpen(session: ClientHttp2Session): void {
  if (session.destroyed || session.closed) {
    throw new Error('the connection was lost');
  }
}

/** By Connect, in binary or JSON, or by gRPC-Web, as the content type says, over HTTP/1.1. */
export function rawHttp({ httpUrl }: RunningService, contentType: string): RawWatches {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let kept = false;
  const call = async (rpc: string, type: string, body: Uint8Array, headers: Record<string, string> = {}) => {
    const request = httpRequest(`${httpUrl}${SERVICE}/${rpc}`, {
      agent,
      method: 'POST',
      headers: { 'content-type': type, 'content-length': body.byteLength, ...headers },
    });
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { request, response };
  };
  return {
    async begin(body, headers) {
      const { request, response } = await call('WatchIeps', contentType, body, headers);
      if (response.statusCode !== 200) {
        response.resume();
        await once(response, 'end');
        kept = true;
        return `HTTP ${response.statusCode}`;
      }
      const [first] = await envelopes(response, 1);
      kept = first === undefined || first.flags !== 0;
      if (!kept) {
        request.destroy();
        return 'a message';
      }
      return described(errorIn(response, first));
    },
    async getStudent(body) {
      const type = contentType.endsWith('json') ? 'application/json' : 'application/proto';
      const { request, response } = await call('GetStudent', type, body);
      if (kept && !request.reusedSocket) {
        throw new Error('the connection was lost');
      }
      return Buffer.concat(await response.toArray());
    },
    close: () => agent.destroy(),
  };
}

interface Envelope {
  readonly flags: number;
  readonly data: Buffer;
}

/** The first `count` envelopes of a body, or as many as there are. */
async function envelopes(stream: Readable, count: number): Promise<Envelope[]> {
  const found: Envelope[] = [];
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    while (bytes.length >= ENVELOPE_BYTES && bytes.length >= ENVELOPE_BYTES + bytes.readUInt32BE(1)) {
      const end = ENVELOPE_BYTES + bytes.readUInt32BE(1);
      found.push({ flags: bytes[0]!, data: bytes.subarray(ENVELOPE_BYTES, end) });
      bytes = bytes.subarray(end);
    }
    // The rest of an answer that is over belongs to it.
    if (found.length >= count && found.at(-1)!.flags === 0) {
      break;
    }
  }
  return found;
}

function errorIn(response: IncomingMessage, last: Envelope | undefined): ConnectError | undefined {
  if (last === undefined) {
    return findTrailerError(headersOf(response.headers));
  }
  if (last.flags === CONNECT_END) {
    return endStreamFromJson(last.data).error;
  }
  return last.flags === WEB_TRAILER ? findTrailerError(trailerParse(last.data)) : undefined;
}

function described(error: ConnectError | undefined): Beginning {
  if (error === undefined) {
    return 'an end without an error';
  }
  const [info] = error.findDetails(ErrorInfoSchema);
  return [Code[error.code], ...(info === undefined ? [] : [info.reason])].join(' ');
}

function headersOf(headers: IncomingHttpHeaders): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === 'string' && !name.startsWith(':') ? [[name, value]] : [],
    ),
  );
}
