import type { DescMethod, Message } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type Compression,
  createAsyncIterable,
  encodeEnvelope,
  type UniversalServerRequest,
} from '@connectrpc/connect/protocol';
import { Refusal } from '../iep/errors.ts';
import { decodeBinary, decodeJson } from '../rpc/decode.ts';
import { MAX_REQUEST_BYTES } from './limits.ts';

/** Flags and length before a message of gRPC-Web, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md */
export const ENVELOPE_BYTES = 5;
const COMPRESSED = 1;

export const TOO_LARGE = new ConnectError(
  `The request has more than ${MAX_REQUEST_BYTES} bytes.`,
  Code.ResourceExhausted,
);

/** What came of reading a request: its message, or why it is none. */
export interface Reading {
  readonly message?: Message;
  readonly error?: Error;
}

/** A request from which the message was taken; an empty one stands in its place. */
export interface TakenMessage {
  readonly reading: Reading;
  readonly request: UniversalServerRequest;
}

/**
 * Takes the message out of a request, in whichever protocol. One that is compressed in a way that the service does not know
 * is left as it is: what there is instead is the protocol's own to say.
 */
export async function takeMessage(
  method: DescMethod,
  request: UniversalServerRequest,
  body: Uint8Array<ArrayBuffer>,
  compressions: readonly Compression[],
): Promise<TakenMessage> {
  const form = formOf(request);
  try {
    const { bytes, encoding } = packedIn(request, form, body);
    const compression = encoding === undefined ? undefined : compressions.find(({ name }) => name === encoding);
    if (encoding !== undefined && compression === undefined) {
      return { reading: {}, request: { ...request, body: createAsyncIterable([body]) } };
    }
    const unpacked = compression === undefined ? bytes : await unpack(bytes, compression);
    if (unpacked.byteLength > MAX_REQUEST_BYTES) {
      throw TOO_LARGE;
    }
    const message = (form.json ? decodeJson : decodeBinary)(method.input, unpacked);
    return { reading: { message }, request: emptied(request, form) };
  } catch (error) {
    if (error instanceof Refusal || error instanceof ConnectError) {
      return { reading: { error }, request: emptied(request, form) };
    }
    throw error;
  }
}

interface Form {
  readonly carrier: 'query' | 'envelope' | 'body';
  readonly json: boolean;
  /** The header that names the compression. */
  readonly encodingHeader: string;
}

function formOf({ method, url, header }: UniversalServerRequest): Form {
  if (method === 'GET') {
    const json = new URL(url).searchParams.get('encoding') === 'json';
    return { carrier: 'query', json, encodingHeader: '' };
  }
  const type = header.get('content-type') ?? '';
  const json = /[/+]json/.test(type);
  if (type.startsWith('application/grpc-web')) {
    return { carrier: 'envelope', json, encodingHeader: 'grpc-encoding' };
  }
  // A stream of Connect's.
  if (type.startsWith('application/connect+')) {
    return { carrier: 'envelope', json, encodingHeader: 'connect-content-encoding' };
  }
  return { carrier: 'body', json, encodingHeader: 'content-encoding' };
}

interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How the bytes are compressed; undefined where they are not. */
  readonly encoding: string | undefined;
}

function packedIn(
  request: UniversalServerRequest,
  { carrier, encodingHeader }: Form,
  body: Uint8Array<ArrayBuffer>,
): Packed {
  switch (carrier) {
    case 'query': {
      const query = new URL(request.url).searchParams;
      const bytes = Buffer.from(query.get('message') ?? '', query.get('base64') === '1' ? 'base64' : 'utf8');
      return { bytes, encoding: encodingIn(query.get('compression')) };
    }
    case 'envelope': {
      const bytes = body.subarray(ENVELOPE_BYTES);
      // A message that was cut may still be a whole one with fewer fields.
      if (
        body.byteLength < ENVELOPE_BYTES ||
        Buffer.from(body.buffer, body.byteOffset).readUInt32BE(1) !== bytes.byteLength
      ) {
        throw new Refusal('MALFORMED_REQUEST', { problem: 'the body is not one message with its length before it' });
      }
      const compressed = (body[0]! & COMPRESSED) === COMPRESSED;
      return { bytes, encoding: compressed ? encodingIn(request.header.get(encodingHeader)) : undefined };
    }
    case 'body':
      return { bytes: body, encoding: encodingIn(request.header.get(encodingHeader)) };
  }
}

function encodingIn(name: string | null): string | undefined {
  return name === null || name === '' || name === 'identity' ? undefined : name;
}

async function unpack(bytes: Uint8Array<ArrayBuffer>, { name, decompress }: Compression): Promise<Uint8Array> {
  try {
    return await decompress(bytes, MAX_REQUEST_BYTES);
  } catch (error) {
    if (ConnectError.from(error).code === Code.ResourceExhausted) {
      throw TOO_LARGE;
    }
    throw new Refusal('MALFORMED_REQUEST', { problem: `the bytes are not compressed by ${name}` });
  }
}

function emptied(request: UniversalServerRequest, { carrier, json }: Form): UniversalServerRequest {
  const empty = json ? '{}' : '';
  if (carrier === 'query') {
    const url = new URL(request.url);
    url.searchParams.set('message', empty);
    ['base64', 'compression'].forEach((name) => url.searchParams.delete(name));
    return { ...request, url: url.href };
  }
  const message = new TextEncoder().encode(empty);
  const body = carrier === 'envelope' ? encodeEnvelope(0, message) : message;
  const header = new Headers(request.header);
  header.delete('content-encoding');
  header.set('content-length', `${body.byteLength}`);
  return { ...request, header, body: createAsyncIterable([body]) };
}
