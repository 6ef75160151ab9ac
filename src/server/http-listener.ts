import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createConnectRouter, createContextKey, createContextValues, type Interceptor } from '@connectrpc/connect';
import { createAsyncIterable, type UniversalHandler, type UniversalServerRequest } from '@connectrpc/connect/protocol';
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import type { Logger } from '../log.ts';
import { deadlineKey } from '../rpc/call-context.ts';
import { boundHeaders, deadlinesOf } from './deadline.ts';
import type { ListenerOptions } from './listener-options.ts';
import { type Enter, REFUSALS, writes } from './entrance.ts';
import { MAX_REQUEST_BYTES } from './limits.ts';
import { createOpenStreams } from './open-streams.ts';
import { ENVELOPE_BYTES, type Reading, takeMessage, TOO_LARGE } from './read-message.ts';

const MAX_BODY_BYTES = MAX_REQUEST_BYTES + ENVELOPE_BYTES;

/** What was found in the request before connect-node got it. */
const readingKey = createContextKey<Reading>({});

/** Gives the handler the message that was found, or the caller the error, past the other interceptors. */
const useReading: Interceptor = (next) => async (request) => {
  const { message, error } = request.contextValues.get(readingKey);
  if (error !== undefined) {
    throw error;
  }
  if (message === undefined) {
    return next(request);
  }
  return next(request.stream ? { ...request, message: createAsyncIterable([message]) } : { ...request, message });
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
  { service, interceptors, deadlines, enter, log }: ListenerOptions & { log: Logger },
): Promise<HttpListener> {
  const router = createConnectRouter({
    interceptors: [...interceptors, useReading],
    // Native gRPC has a listener of its own.
    grpc: false,
    readMaxBytes: MAX_REQUEST_BYTES,
    jsonOptions: { ignoreUnknownFields: false },
    acceptCompression: compressions,
  });
  router.service(IEPService, service);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  const streams = createOpenStreams<ServerResponse>((response) => response.destroy());

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (handler === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (handler.method.methodKind === 'server_streaming') {
      streams.add(response);
    }
    const values = createContextValues();
    const workingMs = boundHeaders(request.headers, deadlinesOf(handler.method, deadlines));
    const deadline = workingMs === undefined ? undefined : Date.now() + workingMs;
    if (deadline !== undefined) {
      values.set(deadlineKey, deadline);
    }
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    const enterWith = (bytes: number) =>
      enter({ client: request.socket, deadline, bytes, writes: writes(handler.method) });
    await universalResponseToNodeResponse(await handler(await readBody(handler, universal, enterWith)), response);
  }

  const server = createServer((request, response) => {
    response.once('close', () => {
      // Node closes the connections that are idle when it is told to, and would keep the others for seconds.
      if (!server.listening) {
        setImmediate(() => server.closeIdleConnections());
      }
    });
    serve(request, response).catch((error: unknown) => {
      log.debug({ cause: error instanceof Error ? error.name : typeof error }, 'connection lost');
      response.destroy();
    });
  });
  await listen(server, host, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    finish() {
      streams.cutSoon();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
    destroy: () => server.closeAllConnections(),
  };
}

/**
 * connect-node would answer bytes that are no such message with `internal`, any unreadable request without details and past
 * the interceptors, and lose which Values came without a kind. So the message is taken out of the request before, once it
 * is let in.
 */
async function readBody(
  handler: UniversalHandler,
  request: UniversalServerRequest,
  enterWith: (bytes: number) => ReturnType<Enter>,
): Promise<UniversalServerRequest> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    // One that is too large is read to its end, and dropped: who is still sending does not listen for an answer.
    if (length <= MAX_BODY_BYTES) {
      chunks.push(chunk);
    }
  }
  const refusal = await enterWith(Math.min(length, MAX_BODY_BYTES));
  const error = refusal === undefined ? (length > MAX_BODY_BYTES ? TOO_LARGE : undefined) : REFUSALS[refusal]();
  const body = error === undefined ? Buffer.concat(chunks) : new Uint8Array();
  const taken = await takeMessage(handler.method, request, body, compressions);
  request.contextValues?.set(readingKey, error === undefined ? taken.reading : { error });
  return taken.request;
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
