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
 * Takes the message out of a request, in whichever protocol. Where the protocol itself is broken, in the envelope or in the
 * compression, the request is left as it is: that is the protocol's own to say.
 */
export async function takeMessage(
  method: DescMethod,
  request: UniversalServerRequest,
  body: Uint8Array<ArrayBuffer>,
  compressions: readonly Compression[],
): Promise<TakenMessage> {
  const form = formOf(request);
  let bytes: Uint8Array;
  try {
    bytes = await messageIn(request, form, body, compressions);
  } catch {
    return { reading: {}, request: { ...request, body: createAsyncIterable([body]) } };
  }
  if (bytes.byteLength > MAX_REQUEST_BYTES) {
    return { reading: { error: TOO_LARGE }, request: emptied(request, form) };
  }
  try {
    const message = (form.json ? decodeJson : decodeBinary)(method.input, bytes);
    return { reading: { message }, request: emptied(request, form) };
  } catch (error) {
    if (error instanceof Refusal) {
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

async function messageIn(
  request: UniversalServerRequest,
  { carrier, encodingHeader }: Form,
  body: Uint8Array<ArrayBuffer>,
  compressions: readonly Compression[],
): Promise<Uint8Array> {
  const decompress = async (bytes: Uint8Array<ArrayBuffer>, name: string | null) => {
    if (name === null || name === '' || name === 'identity') {
      return bytes;
    }
    const compression = compressions.find((candidate) => candidate.name === name);
    if (compression === undefined) {
      throw new TypeError('unknown compression');
    }
    return compression.decompress(bytes, MAX_REQUEST_BYTES);
  };
  switch (carrier) {
    case 'query': {
      const query = new URL(request.url).searchParams;
      const bytes = Buffer.from(query.get('message') ?? '', query.get('base64') === '1' ? 'base64' : 'utf8');
      return decompress(bytes, query.get('compression'));
    }
    case 'envelope': {
      const compressed = ((body[0] ?? 0) & COMPRESSED) === COMPRESSED;
      return decompress(body.subarray(ENVELOPE_BYTES), compressed ? request.header.get(encodingHeader) : null);
    }
    case 'body':
      return decompress(body, request.header.get(encodingHeader));
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
