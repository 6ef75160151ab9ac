import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
} from '@connectrpc/connect';
import { createAsyncIterable, type UniversalHandler, type UniversalServerRequest } from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import type { Logger } from '../log.ts';
import { boundHeaders } from './deadline.ts';
import type { ListenerOptions } from './grpc-listener.ts';
import { MAX_REQUEST_BYTES } from './limits.ts';
import { ENVELOPE_BYTES, type Reading, readMessage } from './read-message.ts';

const MAX_BODY_BYTES = MAX_REQUEST_BYTES + ENVELOPE_BYTES;

/** What was found in the request before connect-node got it. */
const readingKey = createContextKey<Reading>({});

/** Gives the handlers the message that was found: connect-node's own has lost which Values came without a kind. */
const useReading: Interceptor = (next) => (request) => {
  const { message } = request.contextValues.get(readingKey);
  return next(message === undefined || request.stream ? request : { ...request, message });
};

const compressions = [compressionGzip, compressionBrotli];

export interface HttpListener {
  readonly port: number;
  /** Takes no new connections and waits for the calls in flight. */
  finish(): Promise<void>;
  /** Ends the calls that are left. */
  destroy(): void;
}

/** Connect, gRPC-Web and plain JSON, by connect-node. */
export async function openHttpListener(
  host: string,
  port: number,
  { service, interceptors, deadlines, log }: ListenerOptions & { log: Logger },
): Promise<HttpListener> {
  const router = createConnectRouter({
    interceptors: [...interceptors, useReading],
    // Native gRPC has a listener of its own.
    grpc: false,
    readMaxBytes: MAX_REQUEST_BYTES,
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: compressions,
    requestGate({ values }) {
      const { error } = values.get(readingKey);
      if (error !== undefined) {
        throw error;
      }
    },
  });
  router.service(IEPService, service);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (handler === undefined) {
      response.writeHead(404).end();
      return;
    }
    boundHeaders(request.headers, deadlines);
    const universal = universalRequestFromNodeRequest(request, response, undefined, createContextValues());
    await universalResponseToNodeResponse(await handler(await readBody(handler, universal)), response);
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      log.debug({ cause: error instanceof Error ? error.name : typeof error }, 'connection lost');
      response.destroy();
    });
  });
  await listen(server, host, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    finish: () => new Promise((resolve) => void server.close(() => resolve())),
    destroy: () => server.closeAllConnections(),
  };
}

/**
 * Connect answers bytes that are no such message with `internal`, and any unreadable request without details. So the
 * request is looked at before the handler gets it, which then answers with the error found, in the protocol of the call.
 */
async function readBody(handler: UniversalHandler, request: UniversalServerRequest): Promise<UniversalServerRequest> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    // One that is too large is read to its end, and dropped: who is still sending does not listen for an answer.
    if (length <= MAX_BODY_BYTES) {
      chunks.push(chunk);
    }
  }
  const body = Buffer.concat(chunks);
  const reading =
    length > MAX_BODY_BYTES ? { error: tooLarge() } : await readMessage(handler.method, request, body, compressions);
  request.contextValues?.set(readingKey, reading);
  return { ...request, body: createAsyncIterable([body]) };
}

function tooLarge(): ConnectError {
  return new ConnectError(`The request has more than ${MAX_REQUEST_BYTES} bytes.`, Code.ResourceExhausted);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
