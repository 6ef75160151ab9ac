/**
 * Lines up the writes of one process before they take a connection. A lane runs one batch at a time, in order of arrival:
 * alone at once when it is idle, together with what has queued up when it was busy. So a process never conflicts with
 * itself, a busy lane pays for one commit instead of many, and those who wait for it hold no connection that another
 * student's call needs.
 *
 * Lanes are about fairness and speed. Correctness does not rest on them: another process has lanes of its own.
 */
import { setImmediate } from 'node:timers/promises';
import { createCompany, pauseAfter } from './company.ts';
import { createDelayGauge, createPaceGauge, foreseenMs, isTooLong } from './delay.ts';
import { StorageError } from './errors.ts';

export interface LaneJob {
  /** Jobs of one kind may share a batch; a job without a kind has one of its own. */
  readonly kind: unknown;
  /** Size of what it will write. */
  readonly bytes: number;
  /** Both in milliseconds since 1970. */
  readonly queuedAt: number;
  readonly deadline: number;
}

export interface LaneLimits {
  readonly batchJobs: number;
  readonly batchBytes: number;
  /** Of one lane in a batch, while other lanes have company. One in which as many are left behind makes way for them. */
  readonly crowdJobs: number;
  /**
   * A shared batch runs beside others while those hold no more. Beside more it would only be a smaller one, at more cost,
   * unless as many lanes wait as fill one.
   */
  readonly fewJobs: number;
  /** As many wait in all lanes as make full batches while what waits outside comes in. */
  readonly enoughJobs: number;
  /** What may wait in one lane, and in all of them. */
  readonly laneJobs: number;
  readonly totalJobs: number;
  readonly totalBytes: number;
}

export const LANE_LIMITS: LaneLimits = {
  batchJobs: 64,
  batchBytes: 1024 * 1024,
  crowdJobs: 16,
  fewJobs: 16,
  enoughJobs: 96,
  laneJobs: 2048,
  totalJobs: 8192,
  totalBytes: 64 * 1024 * 1024,
};

/** A batch that takes longer than this may be stuck, and is not waited for. */
const STUCK_MS = 100;

/** A job that has waited for less has started as good as at once. */
const AT_ONCE_MS = 5;

/** What those see who wait to come in. */
export interface WriteQueue {
  /**
   * Whether a job had better come later: enough wait already, and none has started at once of late. Those that wait for a
   * batch that is stuck are not counted: they would keep out those of other lanes.
   */
  isFull(): boolean;
  /** How long a job that comes now will wait, about; not for long while others start at once, as those of an idle lane do. */
  waitMs(): number;
}

export interface WriteLanes<Job extends LaneJob> extends WriteQueue {
  /** Throws OVERLOADED when the lane, or all of them together, hold too much, or the job would wait for too long. */
  enqueue(lane: string, job: Job): void;
  /** Takes a job out that has not started; says whether it did. */
  cancel(lane: string, job: Job): boolean;
}

/** How many batches may run at once. */
export interface LaneConcurrency {
  /** Those that lanes may share: with more at once, each is smaller. */
  readonly shared: number;
  /** Those of one lane by itself, which may wait for other processes, and so must leave room for the others. */
  readonly own: number;
  readonly total: number;
}

interface Lane<Job> {
  readonly name: string;
  readonly waiting: Set<Job>;
  /** A batch of it had to wait for another process. Until it is idle again it keeps to itself, and may wait. */
  alone: boolean;
  /** Its batch is. */
  stuck: boolean;
  /** Runs while the lane makes way for the others. */
  pause: NodeJS.Timeout | undefined;
}

/**
 * `run` works off a batch and settles each of its jobs. A batch that may not wait answers the jobs that would have to;
 * they go back to the head of their lanes, and run in a batch of their lane's own, which may. Lanes that are ready take
 * turns, and share batches. `afterArrivals` calls what it is given when all that comes at once has come.
 */
export function createWriteLanes<Job extends LaneJob>(
  concurrency: LaneConcurrency,
  run: (batch: readonly Job[], mayWait: boolean) => Promise<readonly Job[]>,
  limits: LaneLimits = LANE_LIMITS,
  afterArrivals: (start: () => void) => void = (start) => process.nextTick(start),
): WriteLanes<Job> {
  /** A lane is here from its first job until its last one has run. */
  const lanes = new Map<string, Lane<Job>>();
  /** Lanes whose next job may start as soon as there is room. */
  const ready = new Set<Lane<Job>>();
  const running = { shared: 0, own: 0 };
  /** In shared batches that are not stuck. */
  let runningJobs = 0;
  const delay = createDelayGauge();
  const pace = createPaceGauge();
  const company = createCompany();
  let startsSoon = false;
  let jobs = 0;
  let bytes = 0;
  /** Those of `jobs` that wait for a batch that is stuck. */
  let stuckJobs = 0;

  const headOf = (lane: Lane<Job>) => lane.waiting.values().next().value;
  const sharesBatches = (lane: Lane<Job>) => !lane.alone && headOf(lane)?.kind !== undefined;

  function hasRoom(lane: Lane<Job>): boolean {
    return sharesBatches(lane)
      ? running.shared < concurrency.shared && (runningJobs <= limits.fewJobs || ready.size >= limits.batchJobs)
      : running.own < concurrency.own;
  }

  /** Jobs that come at once, as those do whose chains one read has told, start together. */
  function startSoon(): void {
    if (!startsSoon) {
      startsSoon = true;
      afterArrivals(() => {
        startsSoon = false;
        startReady();
      });
    }
  }

  function startReady(): void {
    while (running.shared + running.own < concurrency.total) {
      const next = ready.values().find(hasRoom);
      if (next === undefined) {
        return;
      }
      const shared = sharesBatches(next);
      void runBatch(takeBatch(next, shared), shared);
    }
  }

  /** `first` opens the batch; where it shares, those behind it join. */
  function takeBatch(first: Lane<Job>, shared: boolean): Map<Lane<Job>, Job[]> {
    const size = { jobs: 0, bytes: 0 };
    const kind = headOf(first)?.kind;
    ready.delete(first);
    const batch = new Map([[first, takeFrom(first, kind, size)]]);
    if (shared) {
      for (const lane of ready) {
        const taken = sharesBatches(lane) ? takeFrom(lane, kind, size) : [];
        if (taken.length > 0) {
          ready.delete(lane);
          batch.set(lane, taken);
        }
      }
    }
    return batch;
  }

  function takeFrom(lane: Lane<Job>, kind: unknown, size: { jobs: number; bytes: number }): Job[] {
    const taken: Job[] = [];
    const most = company.has(lane.name) ? limits.crowdJobs : limits.batchJobs;
    for (const job of lane.waiting) {
      const opens = size.jobs === 0;
      const fits =
        size.jobs < limits.batchJobs &&
        taken.length < most &&
        size.bytes + job.bytes <= limits.batchBytes &&
        kind !== undefined &&
        job.kind === kind;
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

  async function runBatch(batch: Map<Lane<Job>, Job[]>, shared: boolean): Promise<void> {
    const quota = shared ? 'shared' : 'own';
    running[quota]++;
    const all = [...batch.values()].flat();
    batch.forEach((taken, lane) => forget(lane, taken));
    delay.note(Date.now() - all[0]!.queuedAt);
    const startedAt = performance.now();
    const ended = attend([...batch.keys()], shared ? all.length : 0);
    const left = new Set(await run(all, !shared));
    ended();
    pace.note(all.length - left.size);
    for (const [lane, taken] of batch) {
      const back = taken.filter((job) => left.has(job));
      if (back.length > 0) {
        lane.alone = true;
        putBack(lane, back);
      }
      if (!lane.alone && lane.waiting.size >= limits.crowdJobs && company.has(lane.name)) {
        lane.pause = setTimeout(resume, pauseAfter(performance.now() - startedAt), lane);
      } else {
        getReady(lane);
      }
    }
    // Where nobody waits, answers leave and requests arrive before there is room for the next batch. On SQLite nothing else
    // would give way to them, and each request that is read would be a batch of one before the next one is looked at.
    if (ready.size === 0) {
      await setImmediate();
    }
    running[quota]--;
    startReady();
  }

  /** Notices when a batch of these lanes is stuck. What it answers is to be called when the batch has ended. */
  function attend(taken: readonly Lane<Job>[], sharedJobs: number): () => void {
    let counted = sharedJobs;
    runningJobs += counted;
    const uncount = () => {
      runningJobs -= counted;
      counted = 0;
    };
    const timer = setTimeout(() => {
      uncount();
      taken.forEach((lane) => setStuck(lane, true));
      startReady();
    }, STUCK_MS);
    return () => {
      clearTimeout(timer);
      uncount();
      taken.forEach((lane) => setStuck(lane, false));
    };
  }

  function setStuck(lane: Lane<Job>, stuck: boolean): void {
    stuckJobs -= lane.stuck ? lane.waiting.size : 0;
    lane.stuck = stuck;
    stuckJobs += lane.stuck ? lane.waiting.size : 0;
  }

  function getReady(lane: Lane<Job>): void {
    if (lane.waiting.size > 0) {
      ready.add(lane);
    } else {
      lanes.delete(lane.name);
    }
  }

  function resume(lane: Lane<Job>): void {
    endPause(lane);
    getReady(lane);
    startReady();
  }

  /** Says whether there was one. */
  function endPause(lane: Lane<Job>): boolean {
    const paused = lane.pause !== undefined;
    clearTimeout(lane.pause);
    lane.pause = undefined;
    return paused;
  }

  function putBack(lane: Lane<Job>, back: readonly Job[]): void {
    const later = [...lane.waiting];
    lane.waiting.clear();
    [...back, ...later].forEach((job) => lane.waiting.add(job));
    count(lane, back);
  }

  function count(lane: Lane<Job>, changed: readonly Job[], sign = 1): void {
    jobs += sign * changed.length;
    stuckJobs += lane.stuck ? sign * changed.length : 0;
    bytes += sign * changed.reduce((sum, job) => sum + job.bytes, 0);
  }

  const forget = (lane: Lane<Job>, removed: readonly Job[]) => count(lane, removed, -1);

  return {
    isFull: () => jobs - stuckJobs >= limits.enoughJobs && delay.read() > AT_ONCE_MS,
    waitMs() {
      // What those have waited who start now is known too late: as much again has come meanwhile.
      const delayMs = delay.read();
      return jobs === 0 ? 0 : foreseenMs(jobs, pace.read(), delayMs) || delayMs;
    },
    enqueue(name, job) {
      const lane = lanes.get(name);
      const head = lane && headOf(lane);
      if (
        jobs >= limits.totalJobs ||
        bytes + job.bytes > limits.totalBytes ||
        (lane?.waiting.size ?? 0) >= limits.laneJobs ||
        isTooLong(head === undefined ? 0 : job.queuedAt - head.queuedAt, job)
      ) {
        throw new StorageError('OVERLOADED', { cause: 'queue' });
      }
      if (jobs === 0) {
        pace.begin();
      }
      if (lane === undefined) {
        const opened = { name, waiting: new Set([job]), alone: false, stuck: false, pause: undefined };
        lanes.set(name, opened);
        count(opened, [job]);
        company.note(name);
        ready.add(opened);
        startSoon();
      } else {
        lane.waiting.add(job);
        count(lane, [job]);
      }
    },
    cancel(name, job) {
      const lane = lanes.get(name);
      const removed = lane?.waiting.delete(job) ?? false;
      if (lane !== undefined && removed) {
        forget(lane, [job]);
        if (lane.waiting.size === 0 && (ready.delete(lane) || endPause(lane))) {
          lanes.delete(name);
        }
        startSoon();
      }
      return removed;
    },
  };
}
