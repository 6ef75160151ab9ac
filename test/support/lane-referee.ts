/** The rules of the write lanes, and a referee who holds every step of real lanes against them. */
import { setImmediate } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import { createWriteLanes, type LaneConcurrency, type LaneLimits } from '../../src/persistence/write-lanes.ts';

export interface Job {
  readonly id: number;
  readonly lane: string;
  readonly kind: unknown;
  readonly bytes: number;
  readonly queuedAt: number;
  readonly deadline: number;
}

type Fate = 'waits' | 'runs' | 'done' | 'cancelled';

/** What a lane must look like; the lanes under test have a state of their own. */
interface Lane {
  readonly waiting: Job[];
  running: boolean;
  /** A batch of it came back in part, and it was not idle since. */
  alone: boolean;
  /** It was crowded, and makes way for the others. */
  pausing: boolean;
  /** Of the fake clock; of the last job that found the lane idle. */
  openedAt: number;
  /** Batches that started while it could have started one. */
  passedOver: number;
}

interface Batch {
  /** Of the fake clock. */
  readonly startedAt: number;
  readonly jobs: readonly Job[];
  readonly mayWait: boolean;
  readonly end: (left: readonly Job[]) => void;
}

/** Between two batches the lanes let the event loop turn once. */
export async function turns(): Promise<void> {
  await setImmediate();
  await setImmediate();
}

/** How long a lane makes way for a job that found another one idle. */
const COMPANY_MS = 300;
const LONGEST_PAUSE_MS = 100;
/** How long a batch may take before nobody waits for it. */
const STUCK_MS = 100;

export const LANES = ['a', 'b', 'c', 'd'];
const sumOf = (jobs: readonly Job[]) => jobs.reduce((sum, { bytes }) => sum + bytes, 0);

/** Lanes whose every batch is held against the rules when it starts, and ends when the test says so. The clock is a fake. */
export function referee(concurrency: LaneConcurrency, limits: LaneLimits) {
  const lanes = new Map(
    LANES.map((name): [string, Lane] => [
      name,
      { waiting: [], running: false, alone: false, pausing: false, openedAt: -Infinity, passedOver: 0 },
    ]),
  );
  const fates = new Map<Job, Fate>();
  const running: Batch[] = [];
  let passing = false;
  /** Of the fake clock. */
  let lastStartAt = -Infinity;
  /** An exception in `run` would be lost. */
  const broken: unknown[] = [];
  const laneOf = (job: Job) => lanes.get(job.lane)!;
  const waiting = () => [...lanes.values()].flatMap((lane) => lane.waiting);
  const ready = () => [...lanes.values()].filter((lane) => !lane.running && !lane.pausing && lane.waiting.length > 0);
  const hasCompany = (lane: Lane) =>
    [...lanes.values()].some((other) => other !== lane && performance.now() - other.openedAt < COMPANY_MS);
  const mostOf = (lane: Lane) => (hasCompany(lane) ? limits.crowdJobs : limits.batchJobs);
  const sharedRunning = () => running.filter(({ mayWait }) => !mayWait).length;
  const isStuck = ({ startedAt }: Batch) => performance.now() - startedAt >= STUCK_MS;
  /** In shared batches that are not stuck. */
  const jobsRunning = () =>
    running.filter((batch) => !batch.mayWait && !isStuck(batch)).reduce((sum, { jobs }) => sum + jobs.length, 0);
  const ownRunning = () => running.filter(({ mayWait }) => mayWait).length;
  /** Whether the lane's next batch is one that others may join. */
  const shares = (lane: Lane) => !lane.alone && lane.waiting[0]?.kind !== undefined;
  /** While the clock goes on, the pauses of some may have ended. */
  const maybeReady = () => [...lanes.values()].filter((lane) => passing && lane.pausing && lane.waiting.length > 0);
  const fillBatch = (some: readonly Lane[]) => some.length >= limits.batchJobs;
  const hasRoom = (lane: Lane) =>
    running.length < concurrency.total &&
    (shares(lane)
      ? sharedRunning() < concurrency.shared && (jobsRunning() <= limits.fewJobs || fillBatch(ready()))
      : ownRunning() < concurrency.own);
  const tested = createWriteLanes<Job>(concurrency, start, limits, (startReady) => startReady());

  function start(jobs: readonly Job[], mayWait: boolean): Promise<readonly Job[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Job[]>();
    try {
      judge(jobs, mayWait);
    } catch (error) {
      broken.push(error);
    }
    lastStartAt = performance.now();
    running.push({ startedAt: lastStartAt, jobs, mayWait, end: resolve });
    return promise;
  }

  function judge(jobs: readonly Job[], mayWait: boolean): void {
    const taking = new Set(jobs.map(laneOf));
    expect(jobs.length).toBeGreaterThan(0);
    expect(running.length, 'batches at once').toBeLessThan(concurrency.total);
    expect(jobs.map((job) => fates.get(job))).toEqual(jobs.map(() => 'waits'));
    if (jobs.length > 1) {
      expect(jobs.length).toBeLessThanOrEqual(limits.batchJobs);
      expect(sumOf(jobs)).toBeLessThanOrEqual(limits.batchBytes);
      expect(jobs.map(({ kind }) => kind)).toEqual(jobs.map(() => jobs[0]!.kind));
      expect(jobs[0]!.kind, 'kind of jobs that share a batch').toBeDefined();
    }
    if (mayWait) {
      expect(ownRunning(), 'batches at once that may wait').toBeLessThan(concurrency.own);
      expect(taking.size, 'lanes of a batch that may wait').toBe(1);
      expect(jobs[0]!.kind === undefined || [...taking][0]!.alone, 'a reason to wait').toBe(true);
    } else {
      expect(sharedRunning(), 'shared batches at once').toBeLessThan(concurrency.shared);
      const isFull = fillBatch([...ready(), ...maybeReady()]);
      expect(jobsRunning() <= limits.fewJobs || isFull, 'beside many jobs only a full batch').toBe(true);
      expect(jobs[0]!.kind, 'kind of jobs that share a batch').toBeDefined();
      expect([...taking].map(({ alone }) => alone)).not.toContain(true);
    }
    for (const lane of ready().filter((candidate) => !taking.has(candidate) && hasRoom(candidate))) {
      lane.passedOver++;
      expect(lane.passedOver, 'batches before a lane that waits').toBeLessThan(LANES.length);
    }
    for (const lane of taking) {
      expect(lane.running, 'two batches of one lane').toBe(false);
      expect(lane.pausing && !passing, 'a batch of a lane that makes way').toBe(false);
      lane.pausing = false;
      const taken = jobs.filter((job) => laneOf(job) === lane);
      expect(taken.length, 'jobs of one lane').toBeLessThanOrEqual(Math.max(1, mostOf(lane)));
      expect(lane.waiting.splice(0, taken.length), 'order of arrival').toEqual(taken);
      lane.running = true;
      lane.alone &&= mayWait;
      lane.passedOver = 0;
    }
    jobs.forEach((job) => fates.set(job, 'runs'));
    expect(couldHaveJoined(jobs, mayWait, taking), 'left behind without need').toEqual([]);
  }

  /** Heads of lanes that the batch had room for. */
  function couldHaveJoined(jobs: readonly Job[], mayWait: boolean, taking: ReadonlySet<Lane>): Job[] {
    const [{ kind }] = jobs as [Job];
    const others = mayWait ? [] : ready().filter(({ alone }) => !alone);
    const isFull = (lane: Lane) => jobs.filter((job) => laneOf(job) === lane).length >= mostOf(lane);
    return [...others, ...taking]
      .filter((lane) => !isFull(lane))
      .flatMap((lane) => lane.waiting.slice(0, 1))
      .filter(
        (job) =>
          kind !== undefined &&
          job.kind === kind &&
          jobs.length < limits.batchJobs &&
          sumOf(jobs) + job.bytes <= limits.batchBytes,
      );
  }

  function expectBusy(): void {
    expect(broken).toEqual([]);
    expect(ready().filter(hasRoom), 'lanes that wait beside free room').toEqual([]);
    const stuck = new Set(running.filter(isStuck).flatMap(({ jobs }) => jobs.map(laneOf)));
    const enough = waiting().filter((job) => !stuck.has(laneOf(job))).length >= limits.enoughJobs;
    // Every job has waited for long.
    const isFull = tested.isFull();
    expect(isFull && !enough, 'full too early').toBe(false);
    expect(!isFull && enough && lastStartAt === performance.now(), 'full too late').toBe(false);
  }

  function enqueue(job: Job): boolean {
    const lane = laneOf(job);
    const full =
      waiting().length >= limits.totalJobs ||
      sumOf(waiting()) + job.bytes > limits.totalBytes ||
      lane.waiting.length >= limits.laneJobs;
    const wasIdle = !lane.running && !lane.pausing && lane.waiting.length === 0;
    lane.waiting.push(job);
    fates.set(job, 'waits');
    const { openedAt } = lane;
    if (wasIdle) {
      // A batch may start before `enqueue` ends.
      lane.openedAt = performance.now();
    }
    let refused = false;
    try {
      tested.enqueue(job.lane, job);
    } catch (error) {
      expect(error).toMatchObject({ reason: 'OVERLOADED', facts: { cause: 'queue' } });
      refused = true;
      lane.waiting.pop();
      fates.delete(job);
      lane.openedAt = openedAt;
    }
    expect(refused, 'refused').toBe(full);
    expectBusy();
    return !refused;
  }

  function cancel(job: Job): void {
    const waits = fates.get(job) === 'waits';
    if (waits) {
      const lane = laneOf(job);
      lane.waiting.splice(lane.waiting.indexOf(job), 1);
      fates.set(job, 'cancelled');
      if (lane.waiting.length === 0 && !lane.running) {
        lane.passedOver = 0;
        lane.alone = false;
        lane.pausing = false;
      }
    }
    // What waited behind it may start at once.
    expect(tested.cancel(job.lane, job)).toBe(waits);
    expectBusy();
  }

  async function finish(batch: Batch, isLeft: (job: Job) => boolean): Promise<void> {
    const left = batch.mayWait ? [] : batch.jobs.filter(isLeft);
    running.splice(running.indexOf(batch), 1);
    batch.jobs.forEach((job) => fates.set(job, left.includes(job) ? 'waits' : 'done'));
    for (const lane of new Set(batch.jobs.map(laneOf))) {
      const back = left.filter((job) => laneOf(job) === lane);
      lane.waiting.unshift(...back);
      lane.alone = (lane.alone || back.length > 0) && lane.waiting.length > 0;
      lane.running = false;
      lane.pausing = !lane.alone && lane.waiting.length >= limits.crowdJobs && hasCompany(lane);
    }
    batch.end(left);
    await turns();
    expectBusy();
  }

  /** Lets the clock go on, until all pauses are over. Which of them ends first is not ours to say. */
  async function pass(ms: number): Promise<void> {
    passing = true;
    await vi.advanceTimersByTimeAsync(ms);
    passing = false;
    lanes.forEach((lane) => (lane.pausing = false));
    expectBusy();
  }

  async function finishAll(): Promise<void> {
    while (running.length > 0 || waiting().length > 0) {
      for (let batch = running[0]; batch !== undefined; batch = running[0]) {
        await finish(batch, () => false);
      }
      await pass(LONGEST_PAUSE_MS);
    }
  }

  return { running, fates, enqueue, cancel, pass, finish, finishAll };
}
