import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createConnectRouter, createContextKey, createContextValues, type ConnectError } from '@connectrpc/connect';
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
import { unreadable } from './unreadable.ts';

/** Why a request cannot be read, where it cannot. */
const unreadableKey = createContextKey<ConnectError | undefined>(undefined);

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
    interceptors,
    // Native gRPC has a listener of its own.
    grpc: false,
    readMaxBytes: MAX_REQUEST_BYTES,
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: compressions,
    requestGate({ values }) {
      const error = values.get(unreadableKey);
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
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length > MAX_REQUEST_BYTES) {
      // Too large whatever it says; the handler refuses it by its length.
      break;
    }
  }
  const body = Buffer.concat(chunks);
  const error = length > MAX_REQUEST_BYTES ? undefined : await unreadable(handler.method, request, body, compressions);
  request.contextValues?.set(unreadableKey, error);
  return { ...request, body: createAsyncIterable([body]) };
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
