/** Requests as bytes of the test's choice, over every protocol and past every check of a client. */
import type { DescMethodUnary } from '@bufbuild/protobuf';
import { base64Encode } from '@bufbuild/protobuf/wire';
import type { ConnectError } from '@connectrpc/connect';
import { createNodeHttpClient } from '@connectrpc/connect-node';
import type { UniversalClientFn, UniversalClientRequest } from '@connectrpc/connect/protocol';
import { createTransport as createConnect } from '@connectrpc/connect/protocol-connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { createTransport as createGrpcWeb } from '@connectrpc/connect/protocol-grpc-web';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { RunningService } from './service.ts';

/** Sends `message` as the request of a method; fails with the ConnectError that the service answers. */
export type Send = (method: DescMethodUnary, message: Uint8Array) => Promise<unknown>;

/** A protobuf message as bytes. */
export function binarySenders({ grpcUrl, httpUrl }: RunningService): Record<string, Send> {
  return {
    gRPC: (method, message) => sendByGrpc(grpcUrl, method, message),
    Connect: (method, message) => sendByConnect(httpUrl, true, method, inBody(message)),
    'gRPC-Web': (method, message) => sendByGrpcWeb(httpUrl, method, inBody(enveloped(message))),
  };
}

/** A JSON text as bytes. */
export const jsonSender =
  ({ httpUrl }: RunningService): Send =>
  (method, message) =>
    sendByConnect(httpUrl, false, method, inBody(message));

/** The same as binarySenders and jsonSender, for a method without side effects, by GET. */
export const getSender =
  ({ httpUrl }: RunningService, useBinaryFormat: boolean): Send =>
  (method, message) =>
    sendByConnect(httpUrl, useBinaryFormat, method, inQuery(message), true);

type Replace = (request: UniversalClientRequest) => UniversalClientRequest;

const inBody =
  (bytes: Uint8Array): Replace =>
  (request) => ({ ...request, body: chunksOf(bytes) });

const inQuery =
  (bytes: Uint8Array): Replace =>
  (request) => {
    const url = new URL(request.url);
    url.searchParams.set('base64', '1');
    url.searchParams.set('message', base64Encode(bytes, 'url'));
    return { ...request, url: url.href };
  };

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += 65_536) {
    yield bytes.subarray(start, start + 65_536);
  }
}

/** Flags and length of a message of gRPC-Web before it. */
function enveloped(message: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

function optionsOf(baseUrl: string, useBinaryFormat: boolean, replace: Replace) {
  const overHttp = createNodeHttpClient({ httpVersion: '1.1' });
  const httpClient: UniversalClientFn = (request) => overHttp(replace(request));
  return {
    httpClient,
    baseUrl,
    useBinaryFormat,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 0,
    readMaxBytes: 2 ** 31,
    writeMaxBytes: 2 ** 31,
  };
}

function sendByConnect(
  url: string,
  useBinaryFormat: boolean,
  method: DescMethodUnary,
  replace: Replace,
  useHttpGet = false,
): Promise<unknown> {
  const transport = createConnect({ ...optionsOf(url, useBinaryFormat, replace), useHttpGet });
  return transport.unary(method, undefined, undefined, undefined, {});
}

function sendByGrpcWeb(url: string, method: DescMethodUnary, replace: Replace): Promise<unknown> {
  return createGrpcWeb(optionsOf(url, true, replace)).unary(method, undefined, undefined, undefined, {});
}

async function sendByGrpc(url: string, method: DescMethodUnary, message: Uint8Array): Promise<Buffer> {
  try {
    return await callByGrpc(url, `/${method.parent.typeName}/${method.name}`, message);
  } catch (error) {
    throw connectErrorOf(error as ServiceError);
  }
}

/** Calls by @grpc/grpc-js, which knows no messages here; fails with its own error. */
export async function callByGrpc(url: string, path: string, message: Uint8Array): Promise<Buffer> {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const asIs = (bytes: Buffer) => bytes;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), new Metadata(), {}, (error, answer) =>
        error === null ? resolve(answer!) : reject(error),
      );
    });
  } finally {
    client.close();
  }
}

/** What any gRPC client makes of the trailers. */
function connectErrorOf({ code, details, metadata }: ServiceError): ConnectError {
  const trailers = new Headers({ 'grpc-status': String(code), 'grpc-message': encodeURIComponent(details) });
  const [status] = metadata.get('grpc-status-details-bin');
  if (status instanceof Buffer) {
    trailers.set('grpc-status-details-bin', status.toString('base64'));
  }
  return findTrailerError(trailers)!;
}
