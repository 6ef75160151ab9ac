/** A watcher, and the ledger that it keeps. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type CallOptions, ConnectError } from '@connectrpc/connect';
import { expect, vi } from 'vitest';
import type { Iep } from '../../src/gen/iep/v1/iep_pb.ts';
import type { IepChange, WatchIepsRequestSchema, WatchIepsResponse } from '../../src/gen/iep/v1/watch_pb.ts';
import type { IepClient } from './service.ts';
import type { TestDatabase } from './sql.ts';

export interface Watching {
  readonly messages: readonly WatchIepsResponse[];
  readonly changes: readonly IepChange[];
  /** Where to go on. */
  readonly token: string;
  /** How it ended; undefined after cancel(). */
  readonly ended: Promise<ConnectError | undefined>;
  /** Ends it from this side. */
  readonly cancel: () => Promise<void>;
}

/** Begins a watch and reads all that comes. */
export function watch(
  client: IepClient,
  request: MessageInitShape<typeof WatchIepsRequestSchema> = {},
  options: CallOptions = {},
): Watching {
  const messages: WatchIepsResponse[] = [];
  const changes: IepChange[] = [];
  const canceller = new AbortController();
  const read = async () => {
    for await (const message of client.watchIeps(request, { ...options, signal: canceller.signal })) {
      messages.push(message);
      if (message.payload.case === 'change') {
        changes.push(message.payload.value);
      }
    }
  };
  const ended = read().then(
    () => undefined,
    (error: unknown) => (canceller.signal.aborted ? undefined : ConnectError.from(error)),
  );
  return {
    messages,
    changes,
    get token() {
      return messages.at(-1)?.resumeToken ?? request.resumeToken ?? '';
    },
    ended,
    cancel: async () => {
      canceller.abort();
      await ended;
    },
  };
}

/** Begins a watch, and answers when the service has said that it will miss nothing from now on. */
export async function watchFromNow(...args: Parameters<typeof watch>): Promise<Watching> {
  const watching = watch(...args);
  const first = await Promise.race([
    vi.waitFor(() => expect(watching.messages).not.toEqual([]), { timeout: 10_000, interval: 5 }),
    watching.ended,
  ]);
  if (first instanceof ConnectError) {
    throw first;
  }
  expect(watching.messages[0]?.payload.case).toBe('heartbeat');
  return watching;
}

/** Waits until a watch has told of `count` changes. */
export async function toldOf(watching: Watching, count: number): Promise<void> {
  const enough = vi.waitFor(() => expect(watching.changes.length).toBeGreaterThanOrEqual(count), {
    timeout: 30_000,
    interval: 5,
  });
  const end = await Promise.race([enough, watching.ended]);
  if (end instanceof ConnectError) {
    throw end;
  }
}

/** Watches `studentId` or the district again and again from where it was, whatever cuts it off, until it is stopped. */
export function watchOn(clientOf: () => IepClient, studentId = '', resumeToken = '') {
  const changes: IepChange[] = [];
  const ends: ConnectError[] = [];
  let token = resumeToken;
  const stopper = new AbortController();
  let cutting = new AbortController();
  const run = async () => {
    while (!stopper.signal.aborted) {
      cutting = new AbortController();
      try {
        for await (const message of clientOf().watchIeps(
          { studentId, resumeToken: token },
          { signal: cutting.signal },
        )) {
          token = message.resumeToken;
          if (message.payload.case === 'change') {
            changes.push(message.payload.value);
          }
        }
      } catch (error) {
        ends.push(ConnectError.from(error));
      }
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  };
  const done = run();
  return {
    changes,
    ends,
    get token() {
      return token;
    },
    /** Cuts the connection; it goes on by itself. */
    cut: () => cutting.abort(),
    async stop() {
      stopper.abort();
      cutting.abort();
      await done;
    },
  };
}

/**
 * The ledger of a watcher against what is in the database: every change of the watched, none twice, none missing, none
 * invented, those of one chain in the order in which they were made.
 */
export async function expectLedger(
  changes: readonly IepChange[],
  database: TestDatabase,
  studentId?: string,
): Promise<void> {
  const rows = await database.query(
    `select events.id, ieps.student_id, ieps.academic_year, ieps.version, events.row_version, events.rpc from events
     join ieps on ieps.district_id = events.district_id and ieps.id = events.iep_id
     ${studentId === undefined ? '' : 'where ieps.student_id = ?'}`,
    ...(studentId === undefined ? [] : [studentId]),
  );
  const told = changes.map(({ eventId }) => eventId);
  expect(told.toSorted()).toEqual(rows.map(({ id }) => id as string).toSorted());
  const placeOf = new Map(told.map((id, index) => [id, index]));
  const chains = Map.groupBy(rows, (row) => `${String(row['student_id'])} ${String(row['academic_year'])}`);
  for (const chain of chains.values()) {
    // A version is made after the one before it; changes of one document count its row_version up.
    const made = chain
      .filter((row) => row['row_version'] === 1)
      .toSorted((a, b) => Number(a['version']) - Number(b['version']));
    expect(made.map(({ id }) => placeOf.get(id as string))).toEqual(
      made.map(({ id }) => placeOf.get(id as string)!).toSorted((a, b) => a - b),
    );
    // A note leaves it as it is.
    const counted = chain.filter(({ rpc }) => rpc !== 'RecordGoalProgress');
    for (const own of Map.groupBy(counted, ({ version }) => version).values()) {
      const inOrder = own.toSorted((a, b) => Number(a['row_version']) - Number(b['row_version']));
      expect(inOrder.map(({ id }) => placeOf.get(id as string))).toEqual(
        inOrder.map(({ id }) => placeOf.get(id as string)!).toSorted((a, b) => a - b),
      );
    }
  }
}

/** The documents of the changes, as far as numbering goes. */
export function versionsOf(changes: readonly IepChange[]): number[] {
  return changes.map(({ iep }) => (iep as Iep).version);
}
