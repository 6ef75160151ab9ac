/** What all probes have in common. Each starts its own databases and services, so that none meets what another left. */
import type { Figure } from '../figure.ts';
import type { MeasureOptions } from '../load/measure.ts';
import type { Server } from '../target/server.ts';
import { probeCompare } from './compare.ts';
import { probeGrowth } from './growth.ts';
import { probeMemory } from './memory.ts';
import { probeOverload } from './overload.ts';
import { probeReviews } from './reviews.ts';
import { probeVictim } from './victim.ts';
import { probeWatch } from './watch/watch.ts';

type Probe = (server: Server, options: MeasureOptions, resources: AsyncDisposableStack) => Promise<Figure[]>;

interface ProbeEntry {
  readonly run: Probe;
  readonly timeLimitSeconds: number;
}

/** In the order in which they run. */
export const PROBES = {
  victim: { run: probeVictim, timeLimitSeconds: 180 },
  overload: { run: probeOverload, timeLimitSeconds: 300 },
  growth: { run: probeGrowth, timeLimitSeconds: 600 },
  watch: { run: probeWatch, timeLimitSeconds: 600 },
  reviews: { run: probeReviews, timeLimitSeconds: 900 },
  compare: { run: probeCompare, timeLimitSeconds: 300 },
  memory: { run: probeMemory, timeLimitSeconds: 1200 },
} as const satisfies Record<string, ProbeEntry>;
export type ProbeName = keyof typeof PROBES;

export async function runProbe(name: ProbeName, server: Server, options: MeasureOptions): Promise<Figure[]> {
  const { run, timeLimitSeconds } = PROBES[name];
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeLimitSeconds * 1000)]);
  await using resources = new AsyncDisposableStack();
  return await run(server, { ...options, signal }, resources);
}
