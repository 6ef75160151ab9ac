import type { DescMethod, Message } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import type { Compression, UniversalServerRequest } from '@connectrpc/connect/protocol';
import { decodeBinary, decodeJson } from '../rpc/decode.ts';
import { toConnectError } from '../rpc/errors.ts';
import { Refusal } from '../iep/errors.ts';
import { MAX_REQUEST_BYTES } from './limits.ts';

/** Flags and length before a message of gRPC-Web, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md */
export const ENVELOPE_BYTES = 5;
const COMPRESSED = 1;

export interface Reading {
  readonly message?: Message;
  /** Why the body is no message of the method. */
  readonly error?: ConnectError;
}

/** The message in a body, in whichever protocol. Neither message nor error: the protocol has something to say itself. */
export async function readMessage(
  method: DescMethod,
  request: UniversalServerRequest,
  body: Uint8Array,
  compressions: readonly Compression[],
): Promise<Reading> {
  try {
    const { bytes, json } = await messageIn(request, body, compressions);
    return { message: (json ? decodeJson : decodeBinary)(method.input, bytes) };
  } catch (error) {
    // What is wrong with the envelope or the compression is the protocol's own to say.
    return error instanceof Refusal ? { error: toConnectError(error, '') } : {};
  }
}

async function messageIn(request: UniversalServerRequest, body: Uint8Array, compressions: readonly Compression[]) {
  const decompress = async (bytes: Uint8Array, name: string | null) => {
    const compression = compressions.find((candidate) => candidate.name === name);
    return compression === undefined ? bytes : await compression.decompress(bytes, MAX_REQUEST_BYTES);
  };
  if (request.method === 'GET') {
    const query = new URL(request.url).searchParams;
    const bytes = Buffer.from(query.get('message') ?? '', query.get('base64') === '1' ? 'base64' : 'utf8');
    return { bytes: await decompress(bytes, query.get('compression')), json: query.get('encoding') === 'json' };
  }
  const type = request.header.get('content-type') ?? '';
  const json = /[/+]json/.test(type);
  if (!type.startsWith('application/grpc-web')) {
    return { bytes: await decompress(body, request.header.get('content-encoding')), json };
  }
  const message = body.subarray(ENVELOPE_BYTES);
  const compressed = ((body[0] ?? 0) & COMPRESSED) === COMPRESSED;
  return { bytes: await decompress(message, compressed ? request.header.get('grpc-encoding') : null), json };
}
