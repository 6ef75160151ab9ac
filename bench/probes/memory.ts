/** What the service's process holds in memory while it creates versions without a pause. */
import { setInterval } from 'node:timers/promises';
import { type Bar, type Figure, valueFigure, ratioFigure } from '../figure.ts';
import { formatMegabytes, formatRate } from '../format.ts';
import { successFigure } from '../load/budget.ts';
import { CREATE_IEP, createChains, creationTemplate, fillTemplate } from '../load/chains.ts';
import { CALL_TIMEOUT_MS, runGhz } from '../load/ghz.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import { statisticsOf } from '../load/statistics.ts';
import { checkStored, countRows } from '../load/stored.ts';
import { residentMegabytes } from '../target/processes.ts';
import type { Server } from '../target/server.ts';
import { startTarget } from '../target/target.ts';
import { curveOf } from './memory-curve.ts';

const MEMORY_BAR: Bar = ['<', 300];

interface Size {
  readonly calls: number;
  readonly sampleMs: number;
  readonly flatBar: Bar | undefined;
}

const FULL: Size = { calls: 200_000, sampleMs: 2000, flatBar: ['<=', 1.1] };
/** Over before the heap has found its size, so that it can tell nothing of flatness. */
const QUICK: Size = { calls: 5000, sampleMs: 250, flatBar: undefined };
const CHAINS = 1000;
const CALLERS = 64;

export async function probeMemory(
  server: Server,
  { ghz, quick, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const size = quick ? QUICK : FULL;
  const target = await startTarget(server, resources);
  const studentIds = await createChains(target.service.client, { chains: CHAINS, versionsPerChain: 0 });
  const rowsBefore = await countRows(target.database);

  const stopped = new AbortController();
  const sampling = sampleEvery(size.sampleMs, () => residentMegabytes(target.service.process.pid!), stopped.signal);
  const calls = await runGhz(ghz, {
    address: target.address,
    method: CREATE_IEP,
    data: fillTemplate(await creationTemplate(), studentIds),
    amount: { calls: size.calls },
    concurrency: CALLERS,
    signal,
  }).finally(() => stopped.abort());
  const samples = await sampling;

  target.requireService();
  await checkStored(target.database, rowsBefore, new Map([[CREATE_IEP, calls]]));
  await requireInvariants(target);
  const statistics = statisticsOf(calls, CALL_TIMEOUT_MS);
  return [
    ...memoryFigures(samples, size),
    successFigure(statistics, 1),
    valueFigure('creations/s', statistics.callsPerSecond, formatRate),
    retriesFigure(target, target.retries()),
  ];
}

/** Flat: the last quarter of the time holds at most a tenth more than the second, when the heap has found its size. */
function memoryFigures(samples: readonly number[], { calls, flatBar }: Size): Figure[] {
  const curve = curveOf(samples);
  if (curve === undefined) {
    return [{ name: 'resident memory', measured: 'cannot be told here', kept: undefined }];
  }
  const { at25, at50, at75, atEnd, peak, secondQuarter, lastQuarter } = curve;
  const name = `resident memory after ${calls.toLocaleString('en-US')} creations`;
  return [
    valueFigure(name, atEnd, formatMegabytes, MEMORY_BAR),
    ratioFigure(
      'mean of the last quarter to that of the second',
      { value: lastQuarter, reference: secondQuarter },
      formatMegabytes,
      flatBar,
    ),
    valueFigure('at 25 %', at25, formatMegabytes),
    valueFigure('at 50 %', at50, formatMegabytes),
    valueFigure('at 75 %', at75, formatMegabytes),
    valueFigure('peak', peak, formatMegabytes),
  ];
}

/** What `read` says until `signal`, and then once more. */
async function sampleEvery(ms: number, read: () => number | undefined, signal: AbortSignal): Promise<number[]> {
  const samples: (number | undefined)[] = [read()];
  try {
    for await (const _ of setInterval(ms, undefined, { signal })) {
      samples.push(read());
    }
  } catch {
    // This is how it stops.
    samples.push(read());
  }
  return samples.filter((sample) => sample !== undefined);
}
