/** The process in which the watchers are: each a gRPC client with a connection of its own, which reads as fast as it can. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { WatchIepsRequestSchema, WatchIepsResponseSchema } from '../../../src/gen/iep/v1/watch_pb.ts';
import { messageOf } from '../../format.ts';
import { createBareClient } from '../../target/bare-client.ts';
import type { WatcherAnswer, WatcherCommand } from './commands.ts';

const WATCH = 'iep.v1.IEPService/WatchIeps';
/** So long that the only heartbeat is the first message. */
const HEARTBEAT = { seconds: 300n };

interface Arrival {
  /** Read when nothing is measured any more. */
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

let arrivals: Arrival[] = [];
let failure: string | undefined;
let stops: (() => void)[] = [];

/** Resolves with the first heartbeat. */
function watch(address: string, studentId: string): Promise<void> {
  const client = createBareClient(address);
  const request = create(WatchIepsRequestSchema, { studentId, heartbeatInterval: HEARTBEAT });
  const stream = client.stream(WATCH, toBinary(WatchIepsRequestSchema, request));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stopped = false;
  let begun = false;
  stream.on('data', (bytes: Uint8Array) => {
    if (begun && !stopped) {
      arrivals.push({ bytes, atMs: Date.now() });
    }
    begun = true;
    resolve();
  });
  const onEnd = (error?: unknown) => {
    if (!stopped) {
      failure ??= `a watch ended: ${error === undefined ? 'the service ended it' : messageOf(error)}`;
      reject(new Error(failure));
    }
  };
  stream.on('error', onEnd);
  stream.on('end', onEnd);
  stops.push(() => {
    stopped = true;
    stream.cancel();
    client.close();
  });
  return promise;
}

/** From the time that the change bears to the arrival of its message. */
function latencyOf({ bytes, atMs }: Arrival): number {
  const { payload } = fromBinary(WatchIepsResponseSchema, bytes);
  if (payload.case !== 'change') {
    throw new Error('a heartbeat came although there were changes');
  }
  return atMs - timestampMs(payload.value.changeTime!);
}

async function obey(command: WatcherCommand): Promise<readonly number[]> {
  switch (command.do) {
    case 'watch':
      arrivals = [];
      await Promise.all(command.studentIds.map((studentId) => watch(command.address, studentId)));
      return [];
    case 'latencies':
      return arrivals.map(latencyOf);
    case 'stop':
      stops.forEach((stop) => stop());
      stops = [];
      return [];
    case 'count':
      return [];
  }
}

process.on('message', (command: WatcherCommand) => {
  void obey(command)
    .then((latenciesMs): WatcherAnswer =>
      failure === undefined ? { count: arrivals.length, latenciesMs } : { failure },
    )
    .catch((error: unknown): WatcherAnswer => ({ failure: messageOf(error) }))
    .then((answer) => process.send!(answer));
});
