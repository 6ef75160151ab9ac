/** Whatever a random day brings, the write lanes keep their rules. */
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LANE_LIMITS, type LaneConcurrency, type LaneLimits } from '../src/persistence/write-lanes.ts';
import { type Job, LANES, referee } from './support/lane-referee.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }));
afterEach(() => void vi.useRealTimers());

type Step =
  | {
      readonly do: 'enqueue';
      readonly lane: string;
      readonly kind: unknown;
      readonly size: number;
      readonly count: number;
    }
  | { readonly do: 'cancel'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'finish'; readonly which: number; readonly left: number };

const anIndex = fc.nat({ max: 1000 });
const aStep = (mostAtOnce: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('enqueue' as const),
        lane: fc.constantFrom(...LANES),
        kind: fc.oneof(
          { weight: 2, arbitrary: fc.constantFrom('creation', 'update') },
          { weight: 1, arbitrary: fc.constant(undefined) },
        ),
        /** Share of a batch. */
        size: fc.constantFrom(0, 0, 0.01, 0.1, 0.5, 1, 1.2),
        count: fc.integer({ min: 1, max: mostAtOnce }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('cancel' as const), which: anIndex }) },
    // At least as long as the longest pause; sometimes until the others who came are forgotten.
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(100, 150, 400) }) },
    {
      weight: 4,
      // A bit for each job of the batch; mostly nothing is left.
      arbitrary: fc.record({
        do: fc.constant('finish' as const),
        which: anIndex,
        left: fc.oneof(
          { weight: 3, arbitrary: fc.constant(0) },
          { weight: 1, arbitrary: fc.nat({ max: 2 ** 16 - 1 }) },
        ),
      }),
    },
  );

const aConcurrency: fc.Arbitrary<LaneConcurrency> = fc
  .record({ shared: fc.integer({ min: 1, max: 3 }), own: fc.integer({ min: 1, max: 3 }), less: fc.nat({ max: 5 }) })
  .map(({ shared, own, less }) => ({ shared, own, total: Math.max(1, shared + own - less) }));

const smallLimits: fc.Arbitrary<LaneLimits> = fc.record({
  batchJobs: fc.integer({ min: 1, max: 5 }),
  batchBytes: fc.constantFrom(10, 100),
  crowdJobs: fc.integer({ min: 1, max: 3 }),
  fewJobs: fc.integer({ min: 0, max: 3 }),
  enoughJobs: fc.integer({ min: 1, max: 6 }),
  laneJobs: fc.integer({ min: 1, max: 6 }),
  totalJobs: fc.integer({ min: 1, max: 12 }),
  totalBytes: fc.constantFrom(10, 50, 200),
});

/** Lives through the steps, lets everything end, and answers whether the lanes are as good as new. */
async function live(concurrency: LaneConcurrency, limits: LaneLimits, steps: readonly Step[]): Promise<void> {
  const lanes = referee(concurrency, limits);
  const jobs: Job[] = [];
  const accepted: Job[] = [];
  for (const step of steps) {
    switch (step.do) {
      case 'enqueue':
        for (let count = 0; count < step.count; count++) {
          const bytes = Math.floor(step.size * limits.batchBytes);
          const job = { id: jobs.length, lane: step.lane, kind: step.kind, bytes, queuedAt: 0, deadline: Infinity };
          jobs.push(job);
          if (lanes.enqueue(job)) {
            accepted.push(job);
          }
        }
        break;
      case 'cancel':
        if (accepted.length > 0) {
          lanes.cancel(accepted.at(-1 - (step.which % Math.min(4, accepted.length)))!);
        }
        break;
      case 'pass':
        await lanes.pass(step.ms);
        break;
      case 'finish': {
        const batch = lanes.running[step.which % Math.max(1, lanes.running.length)];
        if (batch !== undefined) {
          await lanes.finish(batch, (job) => ((step.left >> (batch.jobs.indexOf(job) % 16)) & 1) === 1);
        }
      }
    }
  }
  await lanes.finishAll();
  expect([...lanes.fates.keys()]).toEqual(accepted);
  expect(accepted.filter((job) => !['done', 'cancelled'].includes(lanes.fates.get(job)!))).toEqual([]);
  await expectAllRoom(lanes, concurrency, limits);
}

/** Every job and byte that once waited is forgotten. */
async function expectAllRoom(
  lanes: ReturnType<typeof referee>,
  { own, total }: LaneConcurrency,
  limits: LaneLimits,
): Promise<void> {
  const fill = (lane: string, bytes: number) =>
    lanes.enqueue({ id: -1, lane, kind: undefined, bytes, queuedAt: 0, deadline: Infinity });
  const busy = LANES.slice(0, Math.min(own, total));
  expect(busy.map((lane) => fill(lane, 0))).toEqual(busy.map(() => true));
  const room = Math.min(limits.totalJobs, limits.laneJobs * LANES.length);
  for (let job = 0; job < room; job++) {
    expect(fill(LANES[Math.floor(job / limits.laneJobs)]!, job === 0 ? limits.totalBytes : 0)).toBe(true);
  }
  expect(LANES.map((lane) => fill(lane, 0))).toEqual(LANES.map(() => false));
  await lanes.finishAll();
}

it('write lanes keep every rule, with small limits', async () => {
  await fc.assert(
    fc.asyncProperty(aConcurrency, smallLimits, fc.array(aStep(3), { maxLength: 80, size: 'max' }), live),
    {
      numRuns: 600,
    },
  );
});

it('write lanes keep every rule, with the limits of the service', async () => {
  await fc.assert(
    fc.asyncProperty(
      aConcurrency,
      fc.constant({ ...LANE_LIMITS, laneJobs: 200, totalJobs: 500 }),
      fc.array(aStep(150), { maxLength: 30, size: 'max' }),
      live,
    ),
    { numRuns: 30 },
  );
});

it('write lanes hold 64 jobs and 1 MiB in a batch, 16 jobs of a crowd or beside another batch, 96 while more wait outside, 2,048 jobs in a lane, 8,192 jobs and 64 MiB in all', () => {
  const MiB = 1024 * 1024;
  expect(LANE_LIMITS).toEqual({
    batchJobs: 64,
    batchBytes: MiB,
    crowdJobs: 16,
    fewJobs: 16,
    enoughJobs: 96,
    laneJobs: 2048,
    totalJobs: 8192,
    totalBytes: 64 * MiB,
  });
});
