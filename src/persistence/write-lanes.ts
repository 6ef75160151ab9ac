/**
 * Lines up the writes of one process before they take a connection. A lane runs one batch at a time, in order of arrival:
 * alone at once when it is idle, together with what has queued up when it was busy. So a process never conflicts with
 * itself, a busy lane pays for one commit instead of many, and those who wait for it hold no connection that another
 * student's call needs.
 *
 * Lanes are about fairness and speed. Correctness does not rest on them: another process has lanes of its own.
 */
import { StorageError } from './errors.ts';

export interface LaneJob {
  /** Jobs of one kind may share a batch; a job without a kind has one of its own. */
  readonly kind: unknown;
  /** Size of what it will write. */
  readonly bytes: number;
}

export interface LaneLimits {
  readonly batchJobs: number;
  readonly batchBytes: number;
  /** What may wait in one lane, and in all of them. */
  readonly laneJobs: number;
  readonly totalJobs: number;
  readonly totalBytes: number;
}

export const LANE_LIMITS: LaneLimits = {
  batchJobs: 64,
  batchBytes: 1024 * 1024,
  laneJobs: 2048,
  totalJobs: 8192,
  totalBytes: 64 * 1024 * 1024,
};

export interface WriteLanes<Job extends LaneJob> {
  /** Throws OVERLOADED when the lane, or all of them together, hold too much. */
  enqueue(lane: string, job: Job): void;
  /** Takes a job out that has not started; says whether it did. */
  cancel(lane: string, job: Job): boolean;
}

interface Lane<Job> {
  readonly name: string;
  readonly waiting: Set<Job>;
  /** Its last batch could not be run beside other lanes, so the next one runs by itself. */
  alone: boolean;
}

/**
 * `run` works off a batch and settles each of its jobs, and answers those that could not be run beside the others. They go
 * back to the head of their lanes. At most `concurrency` batches run at once; lanes that wait take turns, and share
 * batches.
 */
export function createWriteLanes<Job extends LaneJob>(
  concurrency: number,
  run: (batch: readonly Job[]) => Promise<readonly Job[]>,
  limits: LaneLimits = LANE_LIMITS,
): WriteLanes<Job> {
  /** A lane is here from its first job until its last one has run. */
  const lanes = new Map<string, Lane<Job>>();
  /** Lanes whose next job may start as soon as there is room. */
  let ready: Lane<Job>[] = [];
  let running = 0;
  let jobs = 0;
  let bytes = 0;

  function startReady(): void {
    while (running < concurrency && ready.length > 0) {
      running++;
      void runBatch(takeBatch());
    }
  }

  function takeBatch(): Map<Lane<Job>, Job[]> {
    const batch = new Map<Lane<Job>, Job[]>();
    const size = { jobs: 0, bytes: 0 };
    let kind: unknown;
    const passedOver: Lane<Job>[] = [];
    for (const lane of ready) {
      const first = batch.size === 0;
      const joins = first || (kind !== undefined && !lane.alone && lane.waiting.values().next().value?.kind === kind);
      const taken = joins ? takeFrom(lane, first, kind, size) : [];
      if (taken.length === 0 && !first) {
        passedOver.push(lane);
        continue;
      }
      batch.set(lane, taken);
      kind = lane.alone ? undefined : taken[0]?.kind;
    }
    ready = passedOver;
    return batch;
  }

  function takeFrom(lane: Lane<Job>, first: boolean, kind: unknown, size: { jobs: number; bytes: number }): Job[] {
    const taken: Job[] = [];
    for (const job of lane.waiting) {
      const opens = first && taken.length === 0;
      const fits =
        size.jobs < limits.batchJobs &&
        size.bytes + job.bytes <= limits.batchBytes &&
        job.kind !== undefined &&
        job.kind === (taken[0]?.kind ?? kind);
      if (!opens && !fits) {
        break;
      }
      lane.waiting.delete(job);
      taken.push(job);
      size.jobs++;
      size.bytes += job.bytes;
    }
    return taken;
  }

  async function runBatch(batch: Map<Lane<Job>, Job[]>): Promise<void> {
    const all = [...batch.values()].flat();
    forget(all);
    const left = new Set(all.length > 0 ? await run(all) : []);
    for (const [lane, taken] of batch) {
      const back = taken.filter((job) => left.has(job));
      lane.alone = back.length > 0;
      putBack(lane, back);
      if (lane.waiting.size > 0) {
        ready.push(lane);
      } else {
        lanes.delete(lane.name);
      }
    }
    running--;
    startReady();
  }

  function putBack(lane: Lane<Job>, back: readonly Job[]): void {
    const later = [...lane.waiting];
    lane.waiting.clear();
    [...back, ...later].forEach((job) => lane.waiting.add(job));
    count(back);
  }

  function count(added: readonly Job[]): void {
    jobs += added.length;
    bytes += added.reduce((sum, job) => sum + job.bytes, 0);
  }

  function forget(removed: readonly Job[]): void {
    jobs -= removed.length;
    bytes -= removed.reduce((sum, job) => sum + job.bytes, 0);
  }

  return {
    enqueue(name, job) {
      const lane = lanes.get(name);
      if (
        jobs >= limits.totalJobs ||
        bytes + job.bytes > limits.totalBytes ||
        (lane?.waiting.size ?? 0) >= limits.laneJobs
      ) {
        throw new StorageError('OVERLOADED', { cause: 'queue' });
      }
      count([job]);
      if (lane === undefined) {
        const opened = { name, waiting: new Set([job]), alone: false };
        lanes.set(name, opened);
        ready.push(opened);
        startReady();
      } else {
        lane.waiting.add(job);
      }
    },
    cancel(name, job) {
      const removed = lanes.get(name)?.waiting.delete(job) ?? false;
      if (removed) {
        forget([job]);
      }
      return removed;
    },
  };
}
