/** What unary and streaming calls of @grpc/grpc-js have in common: from its calls to Connect's, and back. */
import { create, type DescMethod } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
} from '@connectrpc/connect';
import { Metadata, type ServerUnaryCall, type ServerWritableStream, type status } from '@grpc/grpc-js';
import { StatusSchema } from '../gen/google/rpc/status_pb.ts';
import { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import { deadlineKey, requestIdKey } from '../rpc/call-context.ts';
import { encodeBinary } from '../rpc/encode.ts';
import { toConnectError } from '../rpc/errors.ts';
import { type Deadlines, deadlinesOf, workingTimeMs } from './deadline.ts';
import { REFUSALS, writes } from './entrance.ts';
import type { GateCall } from './turn-gate.ts';

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type StreamCall = ServerWritableStream<Buffer, Buffer>;
type Call = UnaryCall | StreamCall;

/** Made once: an abort without a reason makes an exception with a stack for every call. */
const GONE = new ConnectError('the caller has gone', Code.Canceled);
export const ANSWERED = new ConnectError('the call is answered', Code.Canceled);

/** When the service must have answered, in milliseconds since 1970; undefined = whenever it can. */
export function deadlineOf(call: Call, method: DescMethod, deadlines: Deadlines): number | undefined {
  const timeoutMs = workingTimeMs(requestedMs(call), deadlinesOf(method, deadlines));
  return timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
}

/** A call as the gate looks at it. */
export function gateCallOf(call: Call, method: DescMethod, deadline: number | undefined): GateCall {
  return { client: call.getPeer(), deadline, bytes: call.request.byteLength, writes: writes(method) };
}

/** Begins a call. Its context must be aborted in the end: that stops the deadline's timer. */
export function beginCall(
  call: Call,
  method: DescMethod,
  deadline: number | undefined,
): HandlerContext & AbortableContext {
  const contextValues = createContextValues();
  if (deadline !== undefined) {
    contextValues.set(deadlineKey, deadline);
  }
  const context = createHandlerContext({
    service: IEPService,
    method,
    protocolName: 'grpc',
    requestMethod: 'POST',
    url: `http://localhost/${IEPService.typeName}/${method.name}`,
    ...(deadline !== undefined && { timeoutMs: deadline - Date.now() }),
    requestHeader: headersOf(call.metadata),
    contextValues,
  });
  // Fires after every call; once there is a reply nobody listens any more.
  (call as UnaryCall).on('cancelled', () => context.abort(GONE));
  if (call.cancelled) {
    context.abort(GONE);
  }
  return context;
}

interface AbortableContext {
  abort(reason?: unknown): void;
}

/** What interceptors see of a request, apart from its method and message. */
export function requestOf(context: HandlerContext) {
  return {
    service: IEPService,
    requestMethod: 'POST',
    url: context.url,
    signal: context.signal,
    header: context.requestHeader,
    contextValues: context.values,
  };
}

/** What interceptors see of a response, apart from its method and message. */
export function responseOf({ responseHeader, responseTrailer }: HandlerContext) {
  return { service: IEPService, header: responseHeader, trailer: responseTrailer };
}

/** What a caller gets for anything thrown. */
export function failureOf(thrown: unknown, { values }: HandlerContext) {
  return statusOf(toConnectError(thrown, values.get(requestIdKey)));
}

/** What a caller gets that is not let in. Made once: in a flood there is little time for each. */
export const REFUSED = { OVERLOADED: statusOf(REFUSALS.OVERLOADED()), DRAINING: statusOf(REFUSALS.DRAINING()) };

function statusOf(error: ConnectError) {
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- Connect's codes are gRPC's.
  return { code: error.code as number as status, details: error.rawMessage, metadata: errorMetadata(error) };
}

export function metadataOf(headers: Headers): Metadata {
  const metadata = new Metadata();
  headers.forEach((value, name) => metadata.set(name, value));
  return metadata;
}

function requestedMs(call: Call): number | undefined {
  const deadline = call.getDeadline();
  const time = deadline instanceof Date ? deadline.getTime() : deadline;
  return time === Infinity ? undefined : time - Date.now();
}

function headersOf(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === 'string') {
      headers.set(name, value);
    }
  }
  return headers;
}

/** The details of an error travel as google.rpc.Status, https://google.aip.dev/193 */
function errorMetadata(error: ConnectError): Metadata {
  const metadata = metadataOf(error.metadata);
  const details = error.details.map((detail) =>
    'desc' in detail
      ? {
          typeUrl: `type.googleapis.com/${detail.desc.typeName}`,
          value: encodeBinary(detail.desc, create(detail.desc, detail.value)),
        }
      : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
  );
  if (details.length > 0) {
    const status = create(StatusSchema, { code: error.code, message: error.rawMessage, details });
    metadata.set('grpc-status-details-bin', encodeBinary(StatusSchema, status));
  }
  return metadata;
}
