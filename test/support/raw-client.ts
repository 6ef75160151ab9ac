/** A client that costs little and keeps everything it was told: load must not be bounded by who makes it. */
import { fromBinary, type MessageInitShape, create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ErrorInfoSchema, RetryInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';
import type { Iep } from '../../src/gen/iep/v1/iep_pb.ts';
import { CreateIepRequestSchema, CreateIepResponseSchema, IEPService } from '../../src/gen/iep/v1/iep_service_pb.ts';

/** What became of a CreateIep. */
export interface Answer {
  /** OK, or the name of gRPC's status. */
  readonly code: string;
  /** Absent where the answer came without details, as at a deadline that was over before the service could tell. */
  readonly reason: string | undefined;
  readonly committed: string | undefined;
  readonly tellsWhenToRetry: boolean;
  readonly iep: Iep | undefined;
  /** Milliseconds from the call to its answer, by the monotonic clock. */
  readonly ms: number;
  readonly answeredAt: number;
}

interface CallBounds {
  /** The service's: the client itself waits for ever. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

type CreateIepInit = MessageInitShape<typeof CreateIepRequestSchema>;

export interface RawClient {
  createIep(request: CreateIepInit, bounds?: CallBounds): Promise<Answer>;
  close(): void;
}

const PATH = `/${IEPService.typeName}/CreateIep`;
const asIs = (bytes: Buffer) => bytes;

export function openRawClient(grpcUrl: string): RawClient {
  const client = new Client(new URL(grpcUrl).host, credentials.createInsecure(), {
    // Not the connection of another client of the process.
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    createIep(request, { timeoutMs, signal } = {}) {
      const metadata = new Metadata();
      if (timeoutMs !== undefined) {
        metadata.set('grpc-timeout', `${timeoutMs}m`);
      }
      const bytes = Buffer.from(toBinary(CreateIepRequestSchema, create(CreateIepRequestSchema, request)));
      const { promise, resolve } = Promise.withResolvers<Answer>();
      const calledAt = performance.now();
      const call = client.makeUnaryRequest(PATH, asIs, asIs, bytes, metadata, {}, (error, answer) => {
        const answeredAt = performance.now();
        resolve({
          ...(error === null ? acknowledged(answer!) : refused(error)),
          ms: answeredAt - calledAt,
          answeredAt,
        });
      });
      signal?.addEventListener('abort', () => call.cancel(), { once: true });
      return promise;
    },
    close: () => client.close(),
  };
}

type Told = Omit<Answer, 'ms' | 'answeredAt'>;

function acknowledged(answer: Buffer): Told {
  const { iep } = fromBinary(CreateIepResponseSchema, answer);
  return { code: 'OK', reason: undefined, committed: 'yes', tellsWhenToRetry: false, iep };
}

function refused({ code, metadata }: ServiceError): Told {
  const [bytes] = metadata.get('grpc-status-details-bin');
  const details = bytes instanceof Buffer ? fromBinary(StatusSchema, bytes).details : [];
  const valueOf = (typeName: string) => details.find(({ typeUrl }) => typeUrl.endsWith(`/${typeName}`))?.value;
  const info = valueOf(ErrorInfoSchema.typeName);
  const { reason, metadata: facts } = info === undefined ? {} : fromBinary(ErrorInfoSchema, info);
  return {
    code: status[code],
    reason,
    committed: facts?.['committed'],
    tellsWhenToRetry: valueOf(RetryInfoSchema.typeName) !== undefined,
    iep: undefined,
  };
}
