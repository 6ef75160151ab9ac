import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createWriteLanes, LANE_LIMITS, type LaneJob, type LaneLimits } from '../src/persistence/write-lanes.ts';
import { turns } from './support/lane-referee.ts';

interface Job extends LaneJob {
  readonly name: string;
}

const ANY: LaneJob = { kind: 'shared', bytes: 1, queuedAt: 0, deadline: Infinity };

/** Every job comes by itself. */
const atOnce = (start: () => void) => start();

/** Lanes whose batches end when the test says so; of `total` batches at once, `shared` may be shared. */
function workshop(
  total: number,
  limits: Partial<LaneLimits> = {},
  shared = total,
  own = total,
  afterArrivals: (start: () => void) => void = atOnce,
) {
  const batches: string[][] = [];
  /** Which batches may wait for another process. */
  const waiting: boolean[] = [];
  const ends: ((left: readonly Job[]) => void)[] = [];
  const lanes = createWriteLanes<Job>(
    { shared, own, total },
    (batch, mayWait) => {
      batches.push(batch.map(({ name }) => name));
      waiting.push(mayWait);
      const { promise, resolve } = Promise.withResolvers<readonly Job[]>();
      ends.push(resolve);
      return promise;
    },
    { ...LANE_LIMITS, ...limits },
    afterArrivals,
  );
  /** A job's lane is the first letter of its name. */
  function enqueue(name: string, over: Partial<Job> = {}): Job {
    const job = { ...ANY, name, ...over };
    lanes.enqueue(name.slice(0, 1), job);
    return job;
  }
  const cancel = (job: Job) => lanes.cancel(job.name.slice(0, 1), job);
  const finish = async (batch: number, left: readonly Job[] = []) => {
    ends[batch]?.(left);
    await turns();
  };
  return { batches, waiting, enqueue, cancel, finish, waitMs: () => lanes.waitMs(), isFull: () => lanes.isFull() };
}

describe('write lanes', () => {
  it('start a job at once when the lane is idle, and collect when it is busy', async () => {
    const { batches, enqueue, finish } = workshop(10);
    ['a1', 'a2', 'a3'].forEach((name) => enqueue(name));
    expect(batches).toEqual([['a1']]);
    await finish(0);
    expect(batches).toEqual([['a1'], ['a2', 'a3']]);
  });

  it('start together the jobs that come at once', async () => {
    const { batches, enqueue, cancel } = workshop(2, {}, 2, 2, (start) => process.nextTick(start));
    ['a1', 'b1', 'a2'].forEach((name) => enqueue(name));
    cancel(enqueue('d1'));
    await Promise.resolve();
    enqueue('c1');
    expect(batches).toEqual([]);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(batches).toEqual([['a1', 'a2', 'b1', 'c1']]);
  });

  it('run side by side up to the limit, then share batches', async () => {
    const { batches, enqueue, finish } = workshop(2);
    ['a1', 'b1', 'c1', 'd1', 'c2', 'a2'].forEach((name) => enqueue(name));
    expect(batches).toEqual([['a1'], ['b1']]);
    await finish(0);
    expect(batches[2]).toEqual(['c1', 'c2', 'd1', 'a2']);
  });

  it('do not share out what fits a batch that follows', async () => {
    const { batches, enqueue, finish } = workshop(3, { fewJobs: 2 }, 3);
    ['a1', 'b1', 'c1'].forEach((name) => enqueue(name));
    ['d', 'e', 'f'].forEach((lane) => enqueue(`${lane}1`));
    await finish(0);
    expect(batches.slice(3)).toEqual([['d1', 'e1', 'f1']]);
    enqueue('g1');
    await finish(1);
    await finish(2);
    expect(batches.slice(4)).toEqual([]);
    enqueue('h1');
    await finish(3);
    expect(batches.slice(4)).toEqual([['g1', 'h1']]);
  });

  it('run a shared batch beside one of many jobs when it is a full one', async () => {
    const { batches, enqueue, finish } = workshop(3, { fewJobs: 0, batchJobs: 3 }, 2);
    ['a1', 'b1', 'c1'].forEach((name) => enqueue(name));
    expect(batches).toEqual([['a1']]);
    enqueue('d1');
    expect(batches.slice(1)).toEqual([['b1', 'c1', 'd1']]);
    await finish(0);
    await finish(1);
  });

  it('tell how long one waits by what is before it, unless others start at once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { enqueue, finish, waitMs } = workshop(2, {}, 1);
    for (let job = 0; job < 300; job++) {
      enqueue('a', { queuedAt: Date.now() });
    }
    expect(waitMs()).toBe(0);
    vi.advanceTimersByTime(200);
    await finish(0);
    // What those have waited who start now, as long as there is no pace.
    expect(waitMs()).toBe(200);
    for (const batch of [1, 2]) {
      vi.advanceTimersByTime(200);
      await finish(batch);
    }
    // 129 in 600 ms, and 107 that wait.
    expect(waitMs()).toBeCloseTo((107 * 600) / 129);
    enqueue('b', { queuedAt: Date.now(), kind: undefined });
    expect(waitMs()).toBe(0);
  });

  it('are no wait at all when nothing waits, however long the last ones have waited', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { enqueue, finish, waitMs } = workshop(2, {}, 1);
    ['a1', 'a2', 'a3'].forEach((name) => enqueue(name, { queuedAt: Date.now() }));
    vi.advanceTimersByTime(1000);
    await finish(0);
    expect(waitMs()).toBe(0);
    enqueue('a4', { queuedAt: Date.now() });
    expect(waitMs()).toBe(1000);
  });

  it('are full while enough jobs wait and none starts at once', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { enqueue, finish, isFull } = workshop(2, { enoughJobs: 3, batchJobs: 2 }, 1);
    const queue = (...names: string[]) => names.forEach((name) => enqueue(name, { queuedAt: Date.now() }));
    queue('a1', 'a2', 'a3', 'a4', 'a5', 'a6');
    expect(isFull()).toBe(false);
    vi.advanceTimersByTime(200);
    await finish(0);
    expect(isFull()).toBe(true);
    vi.advanceTimersByTime(200);
    await finish(1);
    expect(isFull()).toBe(false);
    queue('a7', 'a8');
    expect(isFull()).toBe(true);
    enqueue('b1', { queuedAt: Date.now(), kind: undefined });
    expect(isFull()).toBe(false);
  });

  it('are not full of those that wait for a batch that is stuck', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { batches, enqueue, finish, isFull } = workshop(2, { enoughJobs: 2 });
    const queue = (...names: string[]) => names.forEach((name) => enqueue(name, { queuedAt: Date.now() - 1000 }));
    queue('a1', 'a2', 'a3');
    expect(isFull()).toBe(true);
    vi.advanceTimersByTime(100);
    expect(isFull()).toBe(false);
    queue('a4', 'b1', 'b2');
    expect(isFull()).toBe(false);
    queue('b3');
    expect(isFull()).toBe(true);
    await finish(0);
    await finish(1);
    expect(batches.slice(2)).toEqual([
      ['a2', 'a3', 'a4'],
      ['b2', 'b3'],
    ]);
    queue('a5', 'b4');
    expect(isFull()).toBe(true);
  });

  it('do not wait for a batch that is stuck', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { batches, enqueue } = workshop(3, { fewJobs: 0 });
    ['a1', 'b1', 'c1'].forEach((name) => enqueue(name));
    vi.advanceTimersByTime(99);
    expect(batches).toEqual([['a1']]);
    vi.advanceTimersByTime(1);
    expect(batches).toEqual([['a1'], ['b1', 'c1']]);
  });

  it('keep a job without a kind to itself, and its place', async () => {
    const { batches, enqueue, finish } = workshop(1);
    enqueue('a1');
    enqueue('a2');
    enqueue('a3', { kind: undefined });
    enqueue('a4');
    enqueue('b1', { kind: undefined });
    await finish(0);
    await finish(1);
    await finish(2);
    await finish(3);
    await finish(4);
    expect(batches).toEqual([['a1'], ['b1'], ['a2'], ['a3'], ['a4']]);
  });

  it('keep batches small', async () => {
    const { batches, enqueue, finish } = workshop(1, { batchJobs: 3, batchBytes: 10 });
    ['a0', 'a1', 'a2', 'a3', 'a4'].forEach((name) => enqueue(name));
    enqueue('a5', { bytes: 8 });
    enqueue('a6', { bytes: 11 });
    enqueue('a7');
    for (let batch = 0; batch < 5; batch++) {
      await finish(batch);
    }
    expect(batches).toEqual([['a0'], ['a1', 'a2', 'a3'], ['a4', 'a5'], ['a6'], ['a7']]);
  });

  it('run jobs again that would have had to wait, before those behind them, in a batch that may', async () => {
    const { batches, waiting, enqueue, finish } = workshop(1);
    enqueue('x1');
    const [a1] = ['a1', 'a2', 'b1'].map((name) => enqueue(name));
    await finish(0);
    expect(batches[1]).toEqual(['a1', 'a2', 'b1']);
    enqueue('a3');
    enqueue('b2');
    await finish(1, [a1!]);
    enqueue('a4');
    await finish(2);
    await finish(3);
    // Lane a is left to itself until it is idle.
    await finish(4);
    enqueue('a5');
    expect(batches.slice(2)).toEqual([['a1', 'a3'], ['b2'], ['a4'], ['a5']]);
    expect(waiting).toEqual([false, false, true, false, true, false]);
  });

  it('let a lane that waits for another process hold up nobody else', async () => {
    const { batches, enqueue, finish } = workshop(3, {}, 1);
    const a1 = enqueue('a1');
    const b1 = enqueue('b1');
    await finish(0, [a1]);
    await finish(1, [b1]);
    expect(batches).toEqual([['a1'], ['b1'], ['a1'], ['b1']]);
    enqueue('c1');
    enqueue('d1');
    expect(batches[4]).toEqual(['c1']);
    await finish(4);
    expect(batches[5]).toEqual(['d1']);
  });

  it('take a job out that has not started, and only that', async () => {
    const { batches, enqueue, cancel, finish } = workshop(1);
    const first = enqueue('a1');
    const second = enqueue('a2');
    enqueue('a3');
    expect(cancel(second)).toBe(true);
    expect(cancel(second)).toBe(false);
    expect(cancel(first)).toBe(false);
    await finish(0);
    expect(batches).toEqual([['a1'], ['a3']]);
  });

  it('stay usable when all their jobs were taken out', async () => {
    const { batches, enqueue, cancel, finish } = workshop(1);
    enqueue('a1');
    cancel(enqueue('a2'));
    await finish(0);
    enqueue('a3');
    expect(batches).toEqual([['a1'], ['a3']]);
  });

  it('start at once what a job that was taken out kept waiting', () => {
    const { batches, enqueue, cancel } = workshop(3, {}, 1);
    enqueue('a1');
    const [b1, c1] = [enqueue('b1'), enqueue('c1')];
    enqueue('b2', { kind: undefined });
    // One more batch may run, but not one that lanes may share.
    expect(batches).toEqual([['a1']]);
    cancel(c1);
    enqueue('c2', { kind: undefined });
    expect(batches).toEqual([['a1'], ['c2']]);
    cancel(b1);
    expect(batches).toEqual([['a1'], ['c2'], ['b2']]);
  });

  it('forget lanes that were emptied while they waited, however many', async () => {
    const ran: number[] = [];
    const { promise, resolve } = Promise.withResolvers<never[]>();
    const lanes = createWriteLanes<LaneJob & { readonly place: number }>({ shared: 1, own: 1, total: 1 }, ([job]) => {
      ran.push(job!.place);
      return promise;
    });
    lanes.enqueue('first', { ...ANY, place: 0 });
    await turns();
    for (let place = 1; place < 20_000; place++) {
      const job = { ...ANY, place };
      lanes.enqueue(`${place}`, job);
      lanes.cancel(`${place}`, job);
    }
    lanes.enqueue('last', { ...ANY, place: 20_000 });
    resolve([]);
    await turns();
    expect(ran).toEqual([0, 20_000]);
  });

  it('turn a job away when those before it have waited for half of the time that it has', () => {
    const { enqueue } = workshop(1);
    enqueue('a1');
    enqueue('a2', { queuedAt: 1000 });
    expect(() => enqueue('a3', { queuedAt: 2001, deadline: 4000 })).toThrow('OVERLOADED');
    expect(() => enqueue('a3', { queuedAt: 2000, deadline: 4000 })).not.toThrow();
    expect(() => enqueue('b1', { queuedAt: 2001, deadline: 4000 })).not.toThrow();
  });

  it('leave room for shared batches, however many wait for other processes', () => {
    const { batches, enqueue } = workshop(3, {}, 1, 2);
    ['a1', 'b1', 'c1'].forEach((name) => enqueue(name, { kind: undefined }));
    enqueue('d1');
    expect(batches).toEqual([['a1'], ['b1'], ['d1']]);
  });

  it.each([
    ['one lane', { laneJobs: 2 }, ['a2', 'a3'], 'a4', 'b1'],
    ['all lanes', { totalJobs: 2 }, ['b1', 'c1'], 'd1', undefined],
    ['their bytes', { totalBytes: 2 }, ['b1', 'c1'], 'd1', undefined],
  ])('refuse what goes beyond the limit of %s, and take it again later', async (_what, limits, fill, over, other) => {
    const { enqueue, cancel } = workshop(1, limits);
    enqueue('a1');
    const waiting = fill.map((name) => enqueue(name));
    expect(() => enqueue(over)).toThrow('OVERLOADED');
    if (other !== undefined) {
      enqueue(other);
    }
    cancel(waiting[0]!);
    expect(() => enqueue(over)).not.toThrow();
  });

  describe('of a crowd', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
    afterEach(() => void vi.useRealTimers());

    const crowd = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => `a${from + index}`);

    it('run as many jobs as fit, one batch after the other, while nobody else is there', async () => {
      const { batches, enqueue, finish } = workshop(1);
      crowd(1, 100).forEach((name) => enqueue(name));
      await finish(0);
      await finish(1);
      expect(batches).toEqual([crowd(1, 1), crowd(2, 65), crowd(66, 100)]);
    });

    it('run a few of them and make way for twice as long, while somebody else is there', async () => {
      const { batches, enqueue, finish } = workshop(2);
      crowd(1, 100).forEach((name) => enqueue(name));
      enqueue('b1');
      vi.advanceTimersByTime(10);
      await finish(0);
      expect(batches).toEqual([['a1'], ['b1']]);
      vi.advanceTimersByTime(19);
      expect(batches).toEqual([['a1'], ['b1']]);
      vi.advanceTimersByTime(1);
      expect(batches.at(-1)).toEqual(crowd(2, 17));
    });

    it('make way for a tenth of a second at most', async () => {
      const { batches, enqueue, finish } = workshop(2);
      crowd(1, 100).forEach((name) => enqueue(name));
      vi.advanceTimersByTime(5000);
      enqueue('b1');
      await finish(0);
      vi.advanceTimersByTime(99);
      expect(batches).toEqual([['a1'], ['b1']]);
      vi.advanceTimersByTime(1);
      expect(batches.at(-1)).toEqual(crowd(2, 17));
    });

    it('are idle again once the crowd has gone away', async () => {
      const { batches, enqueue, cancel, finish } = workshop(3);
      const jobs = crowd(1, 100).map((name) => enqueue(name));
      enqueue('b1');
      vi.advanceTimersByTime(10);
      await finish(0);
      jobs.slice(1).forEach((job) => cancel(job));
      enqueue('a101');
      expect(batches).toEqual([['a1'], ['b1'], ['a101']]);
      vi.advanceTimersByTime(100);
      enqueue('a102');
      expect(batches).toHaveLength(3);
    });

    it('make way no longer once nobody else came for a while', async () => {
      const { batches, enqueue, finish } = workshop(2);
      enqueue('b1');
      crowd(1, 100).forEach((name) => enqueue(name));
      vi.advanceTimersByTime(300);
      await finish(1);
      expect(batches).toEqual([['b1'], crowd(1, 1), crowd(2, 65)]);
    });
  });
});
