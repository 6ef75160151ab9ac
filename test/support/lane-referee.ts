/** The rules of the write lanes, and a referee who holds every step of real lanes against them. */
import { expect } from 'vitest';
import { createWriteLanes, type LaneLimits } from '../../src/persistence/write-lanes.ts';

export interface Job {
  readonly id: number;
  readonly lane: string;
  readonly kind: unknown;
  readonly bytes: number;
}

type Fate = 'waits' | 'runs' | 'done' | 'cancelled';

/** What a lane must look like; the lanes under test have a state of their own. */
interface Lane {
  readonly waiting: Job[];
  running: boolean;
  /** Its last batch came back in part. */
  alone: boolean;
  /** Batches that started while its head could have been in them. */
  passedOver: number;
}

interface Batch {
  readonly jobs: readonly Job[];
  readonly end: (left: readonly Job[]) => void;
}

export const LANES = ['a', 'b', 'c', 'd', 'e', 'f'];
const sumOf = (jobs: readonly Job[]) => jobs.reduce((sum, { bytes }) => sum + bytes, 0);

/** Lanes whose every batch is held against the rules when it starts, and ends when the test says so. */
export function referee(concurrency: number, limits: LaneLimits) {
  const lanes = new Map(
    LANES.map((name): [string, Lane] => [name, { waiting: [], running: false, alone: false, passedOver: 0 }]),
  );
  const fates = new Map<Job, Fate>();
  const running: Batch[] = [];
  /** An exception in `run` would be lost. */
  const broken: unknown[] = [];
  const laneOf = (job: Job) => lanes.get(job.lane)!;
  const waiting = () => [...lanes.values()].flatMap((lane) => lane.waiting);
  const ready = () => [...lanes.values()].filter((lane) => !lane.running && lane.waiting.length > 0);
  const tested = createWriteLanes<Job>(concurrency, start, limits);

  function start(jobs: readonly Job[]): Promise<readonly Job[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Job[]>();
    try {
      judge(jobs);
    } catch (error) {
      broken.push(error);
    }
    running.push({ jobs, end: resolve });
    return promise;
  }

  function judge(jobs: readonly Job[]): void {
    const taking = new Set(jobs.map(laneOf));
    expect(jobs.length).toBeGreaterThan(0);
    expect(running.length, 'batches at once').toBeLessThan(concurrency);
    expect(jobs.map((job) => fates.get(job))).toEqual(jobs.map(() => 'waits'));
    if (jobs.length > 1) {
      expect(jobs.length).toBeLessThanOrEqual(limits.batchJobs);
      expect(sumOf(jobs)).toBeLessThanOrEqual(limits.batchBytes);
      expect(jobs.map(({ kind }) => kind)).toEqual(jobs.map(() => jobs[0]!.kind));
      expect(jobs[0]!.kind, 'kind of jobs that share a batch').toBeDefined();
    }
    if ([...taking].some(({ alone }) => alone)) {
      expect(taking.size, 'lanes beside one that runs by itself').toBe(1);
    }
    for (const lane of ready().filter((candidate) => !taking.has(candidate))) {
      lane.passedOver++;
      expect(lane.passedOver, 'batches before a lane that waits').toBeLessThan(LANES.length);
    }
    for (const lane of taking) {
      expect(lane.running, 'two batches of one lane').toBe(false);
      const taken = jobs.filter((job) => laneOf(job) === lane);
      expect(lane.waiting.splice(0, taken.length), 'order of arrival').toEqual(taken);
      lane.running = true;
      lane.passedOver = 0;
    }
    jobs.forEach((job) => fates.set(job, 'runs'));
    expect(couldHaveJoined(jobs, taking), 'left behind without need').toEqual([]);
  }

  /** Heads of lanes that the batch had room for. */
  function couldHaveJoined(jobs: readonly Job[], taking: ReadonlySet<Lane>): Job[] {
    const [{ kind }] = jobs as [Job];
    const byItself = [...taking].some(({ alone }) => alone);
    const candidates = [...(byItself ? [] : ready().filter(({ alone }) => !alone)), ...taking];
    return candidates
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
    if (running.length < concurrency) {
      expect(ready(), 'lanes that wait beside free room').toEqual([]);
    }
  }

  function enqueue(job: Job): boolean {
    const lane = laneOf(job);
    const full =
      waiting().length >= limits.totalJobs ||
      sumOf(waiting()) + job.bytes > limits.totalBytes ||
      lane.waiting.length >= limits.laneJobs;
    lane.waiting.push(job);
    fates.set(job, 'waits');
    let refused = false;
    try {
      tested.enqueue(job.lane, job);
    } catch (error) {
      expect(error).toMatchObject({ reason: 'OVERLOADED', facts: { cause: 'queue' } });
      refused = true;
      lane.waiting.pop();
      fates.delete(job);
    }
    expect(refused, 'refused').toBe(full);
    expectBusy();
    return !refused;
  }

  function cancel(job: Job): void {
    const waits = fates.get(job) === 'waits';
    expect(tested.cancel(job.lane, job)).toBe(waits);
    if (waits) {
      const lane = laneOf(job);
      lane.waiting.splice(lane.waiting.indexOf(job), 1);
      fates.set(job, 'cancelled');
      lane.passedOver = lane.waiting.length > 0 ? lane.passedOver : 0;
    }
    expectBusy();
  }

  async function finish(batch: Batch, isLeft: (job: Job) => boolean): Promise<void> {
    const left = batch.jobs.filter(isLeft);
    running.splice(running.indexOf(batch), 1);
    batch.jobs.forEach((job) => fates.set(job, left.includes(job) ? 'waits' : 'done'));
    for (const lane of new Set(batch.jobs.map(laneOf))) {
      const back = left.filter((job) => laneOf(job) === lane);
      lane.waiting.unshift(...back);
      lane.alone = back.length > 0;
      lane.running = false;
    }
    batch.end(left);
    await new Promise((resolve) => void setImmediate(resolve));
    expectBusy();
  }

  async function finishAll(): Promise<void> {
    for (let batch = running[0]; batch !== undefined; batch = running[0]) {
      await finish(batch, () => false);
    }
  }

  return { running, fates, enqueue, cancel, finish, finishAll };
}
