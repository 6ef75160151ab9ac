import { create, type Message } from '@bufbuild/protobuf';
import type { MethodImplSpec, StreamRequest, StreamResponse } from '@connectrpc/connect';
import { createAsyncIterable } from '@connectrpc/connect/protocol';
import { decodeBinary } from '../rpc/decode.ts';
import { encodeBinary } from '../rpc/encode.ts';
import { rememberForTurn } from '../turn-memory.ts';
import {
  ANSWERED,
  beginCall,
  deadlineOf,
  failureOf,
  gateCallOf,
  metadataOf,
  REFUSED,
  requestOf,
  responseOf,
  type StreamCall,
} from './grpc-call.ts';
import type { ListenerOptions } from './listener-options.ts';

type StreamSpec = Extract<MethodImplSpec, { kind: 'server_streaming' }>;
type Next = (request: StreamRequest) => Promise<StreamResponse>;

/** What may wait for the client to read, apart from one message. */
const UNSENT_BYTES = 64 * 1024;

/** Serves a method that answers with a stream, at the pace at which its client reads. */
export function serverStream({ method, impl }: StreamSpec, { interceptors, deadlines, enter }: ListenerOptions) {
  // A message that goes to many is encoded once.
  const encode = rememberForTurn((message: Message) => encodeBinary(method.output, message));
  return async (call: StreamCall): Promise<void> => {
    const deadline = deadlineOf(call, method, deadlines);
    const refusal = await enter(gateCallOf(call, method, deadline));
    if (refusal !== undefined) {
      call.emit('error', REFUSED[refusal]);
      return;
    }
    const context = beginCall(call, method, deadline);
    let { signal } = context;
    const invoke: Next = async (request) => {
      // An interceptor may have reasons of its own to end the call.
      ({ signal } = request);
      // Read here, so that the interceptors see it fail; they do not look into messages.
      const message = decodeBinary(method.input, call.request);
      return { ...responseOf(context), method, stream: true, message: impl(message, { ...context, signal }) as never };
    };
    const next = interceptors.reduceRight<Next>((inner, interceptor) => interceptor(inner as never) as Next, invoke);
    try {
      const { message, header, trailer } = await next({
        ...requestOf(context),
        method,
        stream: true,
        message: createAsyncIterable([create(method.input)]),
      });
      call.sendMetadata(metadataOf(header));
      const write = writerTo(call, signal);
      for await (const each of message) {
        await write(encode(each));
      }
      call.end(metadataOf(trailer));
    } catch (thrown) {
      // Ends the call with this status.
      call.emit('error', failureOf(thrown, context));
    } finally {
      context.abort(ANSWERED);
    }
  };
}

/** Writes messages, and waits while too much of them waits for the client, or until the signal aborts. */
function writerTo(call: StreamCall, signal: AbortSignal): (bytes: Buffer) => Promise<void> {
  let unsent = 0;
  let proceed = () => {};
  signal.addEventListener('abort', () => proceed(), { once: true });
  return async (bytes) => {
    unsent += bytes.byteLength;
    call.write(bytes, () => {
      unsent -= bytes.byteLength;
      if (unsent <= UNSENT_BYTES) {
        proceed();
      }
    });
    if (unsent > UNSENT_BYTES && !signal.aborted) {
      await new Promise<void>((resolve) => (proceed = resolve));
    }
  };
}
