/** A gRPC client that leaves answers as bytes, so that what it does with them is no part of what is measured. */
import { Client, type ClientReadableStream, credentials } from '@grpc/grpc-js';

export interface BareClient {
  /** `method` like `iep.v1.IEPService/ListIeps`. Rejects with whatever ends the call. */
  unary(method: string, request: Uint8Array): Promise<Uint8Array>;
  stream(method: string, request: Uint8Array): ClientReadableStream<Uint8Array>;
  close(): void;
}

/** On a connection of its own. */
export function createBareClient(address: string): BareClient {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  return {
    unary(method, request) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      client.makeUnaryRequest(`/${method}`, asBuffer, asBytes, request, (error, answer) =>
        error === null ? resolve(answer!) : reject(error),
      );
      return promise;
    },
    stream: (method, request) => client.makeServerStreamRequest(`/${method}`, asBuffer, asBytes, request),
    close: () => client.close(),
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes);
}

function asBytes(bytes: Buffer): Uint8Array {
  return bytes;
}
