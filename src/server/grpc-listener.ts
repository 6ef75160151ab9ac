import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { DescFile } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { file_google_rpc_error_details } from '../gen/google/rpc/error_details_pb.ts';
import { file_health_v1_health } from '../gen/health/v1/health_pb.ts';
import { file_iep_v1_error_reason } from '../gen/iep/v1/error_reason_pb.ts';
import { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import { encodeBinary } from '../rpc/encode.ts';
import { cutGrpcTimeout, deadlinesOf } from './deadline.ts';
import { grpcDefinition, grpcImplementation } from './grpc-adapter.ts';
import { MAX_REQUEST_BYTES } from './limits.ts';
import type { ListenerOptions } from './listener-options.ts';
import { createOpenStreams, LAST_WORDS_MS } from './open-streams.ts';

interface RequestArrives {
  readonly stream: ServerHttp2Stream;
  readonly headers: Record<string, string | string[] | undefined>;
}

export interface GrpcListener {
  readonly port: number;
  /** What grpc.health.v1 says of iep.v1.IEPService; the process itself, "", is up as long as it answers. */
  setServing(serving: boolean): void;
  /** Takes no new calls and waits for those in flight. */
  finish(): Promise<void>;
  /** Ends the calls that are left. */
  destroy(): void;
}

/**
 * What all calls of a connection may send before they are read. HTTP/2's 64 KiB are 45 documents: others would wait at the
 * client, unseen, while their deadlines pass.
 */
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;

/**
 * Node would end a connection, and all calls on it, of which a thousand calls were given up and then 33 a second: so many
 * are where deadlines pass under load. https://nodejs.org/api/http2.html#http2createserveroptions-onrequesthandler
 */
const GIVEN_UP_CALLS = { streamResetBurst: 100_000, streamResetRate: 10_000 };

/**
 * grpc-js counts a timeout in 32 bits, where 30 days are over before they begin, and offers no way in before it does, nor to
 * the window. Node tells of every HTTP/2 request first.
 */
const REQUEST_ARRIVES = 'http2.server.stream.created';

/** Nor does it offer a way to a connection that was ended: HTTP/2 lets go of it, and waits for the client to end it, too. */
const CLIENT_CONNECTS = 'net.server.socket';

// grpc-js would print the metadata that it refuses.
setLogVerbosity(logVerbosity.NONE);

/** Native gRPC, with reflection and grpc.health.v1. */
export async function openGrpcListener(host: string, port: number, options: ListenerOptions): Promise<GrpcListener> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    // The largest answer is one that was a request before, with ids and times added.
    'grpc.max_send_message_length': 2 * MAX_REQUEST_BYTES,
    // Nobody asks for its counts of calls, which are kept for each message.
    'grpc.enable_channelz': 0,
  });
  // It has no option for these of Node's.
  Object.assign(server['commonServerOptions'], GIVEN_UP_CALLS);
  server.addService(grpcDefinition(), grpcImplementation(options));
  const health = new HealthImplementation({ '': 'SERVING', [IEPService.typeName]: 'SERVING' });
  health.addToServer(server);
  new ReflectionService(reflected()).addToServer(server);

  const bound = await new Promise<number>((resolve, reject) => {
    const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, actual) =>
      error ? reject(error) : resolve(actual),
    );
  });
  const widened = new WeakSet<Http2Session>();
  const methods = new Map(IEPService.methods.map((method) => [`/${IEPService.typeName}/${method.name}`, method]));
  const streams = createOpenStreams<ServerHttp2Stream>(
    (stream) => stream.close(constants.NGHTTP2_CANCEL),
    ({ session }) => session?.socket.resetAndDestroy(),
  );
  const onRequest = (message: unknown) => {
    const { stream, headers } = message as RequestArrives;
    const { session } = stream;
    // Every server of the process is told of.
    if (session?.socket.localPort === bound) {
      stream.once('close', () => forgetCall(stream));
      const method = methods.get(String(headers[':path']));
      cutGrpcTimeout(headers, deadlinesOf(method, options.deadlines));
      // Health and reflection have streams, too.
      if (method?.methodKind !== 'unary') {
        streams.add(stream);
      }
      if (!widened.has(session)) {
        widened.add(session);
        session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      }
    }
  };
  const onConnection = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    if (socket.localPort === bound) {
      // A client that is frozen, or has left something unread, does not end it.
      socket.once('finish', () => void setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref());
    }
  };
  subscribe(REQUEST_ARRIVES, onRequest);
  subscribe(CLIENT_CONNECTS, onConnection);
  return {
    port: bound,
    setServing: (serving) => health.setStatus(IEPService.typeName, serving ? 'SERVING' : 'NOT_SERVING'),
    finish() {
      streams.cutSoon();
      return new Promise((resolve) => server.tryShutdown(() => resolve()));
    },
    destroy() {
      unsubscribe(REQUEST_ARRIVES, onRequest);
      unsubscribe(CLIENT_CONNECTS, onConnection);
      server.forceShutdown();
    },
  };
}

/**
 * Node's young generation does not let go of a stream that has closed, nor of what its listeners reach: all of the call. Each
 * would be copied twice and stay until the next full collection.
 */
function forgetCall(stream: ServerHttp2Stream): void {
  for (const event of stream.eventNames().filter((name) => name !== 'error')) {
    stream.removeAllListeners(event);
  }
}

/**
 * What reflection tells: the descriptors as they were generated, so that a client needs no .proto file at hand. The package
 * reads nothing of a definition but its file descriptors.
 */
function reflected(): ConstructorParameters<typeof ReflectionService>[0] {
  const files = new Map<string, Buffer>();
  const add = (file: DescFile) => {
    file.dependencies.forEach(add);
    files.set(file.name, encodeBinary(FileDescriptorProtoSchema, file.proto));
  };
  [IEPService.file, file_iep_v1_error_reason, file_google_rpc_error_details, file_health_v1_health].forEach(add);
  const format = 'Protocol Buffer 3 EnumDescriptorProto';
  return { all: { format, type: {}, fileDescriptorProtos: [...files.values()] } };
}
