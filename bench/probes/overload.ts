/**
 * What is left of the service at twice the load that it can bear: how many creations it still does, and how long those take.
 * The peak is what a closed loop gets out of it; the overload is an open loop, which does not wait for answers. They take
 * turns, and the medians stand against each other.
 */
import { type Bar, type Figure, ratioFigure, valueFigure } from '../figure.ts';
import { formatMs, formatRate, formatShare } from '../format.ts';
import { CREATE_IEP, createChains, creationTemplate, fillTemplate } from '../load/chains.ts';
import { CALL_TIMEOUT_MS, type LoadOrder, runGhz } from '../load/ghz.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import { type Call, statisticsOf } from '../load/statistics.ts';
import { checkStored, countRows } from '../load/stored.ts';
import type { Server } from '../target/server.ts';
import { startTarget } from '../target/target.ts';
import { type Pressed, pressedOf } from './goodput.ts';
import { medianOf } from './turns.ts';

const P99_BAR: Bar = ['<=', 1000];
/** The others got no answer of the service in time. */
const ANSWERED_BAR: Bar = ['>=', 0.999];

const CALLERS = 64;
const TIMES_THE_PEAK = 2;
/** How long callers wait in the overload. */
const TIMEOUT_MS = 2000;

interface Size {
  readonly warmUpCalls: number;
  readonly turns: number;
  readonly peakSeconds: number;
  readonly pressedSeconds: number;
  /** Until as much waits as ever will. */
  readonly settlingSeconds: number;
  readonly goodputBar: Bar | undefined;
}

const FULL: Size = {
  warmUpCalls: 9600,
  turns: 3,
  peakSeconds: 4,
  pressedSeconds: 8,
  settlingSeconds: 2,
  goodputBar: ['>=', 0.8],
};
const QUICK: Size = {
  warmUpCalls: 1000,
  turns: 1,
  peakSeconds: 1,
  pressedSeconds: 3,
  settlingSeconds: 1,
  goodputBar: undefined,
};

const CHAINS = { 'one chain': 1, '500 chains': 500 };

export async function probeOverload(
  server: Server,
  { ghz, quick, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const size = quick ? QUICK : FULL;
  const target = await startTarget(server, resources);
  const template = await creationTemplate();
  const places: [string, object][] = [];
  for (const [where, chains] of Object.entries(CHAINS)) {
    const studentIds = await createChains(target.service.client, { chains, versionsPerChain: 0 });
    places.push([where, fillTemplate(template, studentIds)]);
  }
  const rowsBefore = await countRows(target.database);
  const all: Call[] = [];
  const figures: Figure[] = [];
  for (const [where, data] of places) {
    const create: Create = async (load) => {
      const order = { address: target.address, method: CREATE_IEP, data, concurrency: CALLERS, ...load, signal };
      const calls = await runGhz(ghz, order);
      all.push(...calls);
      return calls;
    };
    figures.push(...(await press(where, create, size)));
  }

  target.requireService();
  await checkStored(target.database, rowsBefore, new Map([[CREATE_IEP, all]]));
  await requireInvariants(target);
  return [...figures, retriesFigure(target, target.retries())];
}

type Create = (load: Pick<LoadOrder, 'amount' | 'rate' | 'timeoutMs'>) => Promise<readonly Call[]>;

async function press(where: string, create: Create, size: Size): Promise<Figure[]> {
  await create({ amount: { calls: size.warmUpCalls } });
  const peaks: number[] = [];
  const pressed: Pressed[] = [];
  for (let turn = 0; turn < size.turns; turn++) {
    const unhurried = await create({ amount: { seconds: size.peakSeconds } });
    const { callsPerSecond: peak } = statisticsOf(unhurried, CALL_TIMEOUT_MS);
    const calls = await create({
      amount: { seconds: size.pressedSeconds },
      rate: Math.round(TIMES_THE_PEAK * peak),
      timeoutMs: TIMEOUT_MS,
    });
    peaks.push(peak);
    pressed.push(pressedOf(calls, size));
  }
  const median = (of: keyof Pressed) => medianOf(pressed.map((one) => one[of]));
  const goodput = { value: median('goodput'), reference: medianOf(peaks) };
  return [
    // A quick run tells too little to be held to.
    ratioFigure(`${where}, creations/s at twice the peak to the peak`, goodput, formatRate, size.goodputBar),
    valueFigure(`${where}, p99 of those that were done`, median('p99Ms'), formatMs, P99_BAR),
    valueFigure(`${where}, calls answered by the service`, median('answered'), formatShare, ANSWERED_BAR),
  ];
}
