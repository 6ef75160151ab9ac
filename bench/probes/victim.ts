/**
 * What a storm on one chain does to everybody else: creations on other chains and reads, calm and during the storm. Their
 * loop is open, so that a stall shows in all the calls that it holds up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject } from '@bufbuild/protobuf';
import { type Bar, type Figure, ratioFigure, valueFigure } from '../figure.ts';
import { formatMs, formatRate } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';
import { successFigure } from '../load/budget.ts';
import { CREATE_IEP, createChains, creationTemplate, fillTemplate } from '../load/chains.ts';
import { CALL_TIMEOUT_MS, runGhz } from '../load/ghz.ts';
import { type MeasureOptions, requireInvariants, retriesFigure } from '../load/measure.ts';
import { type Call, statisticsOf } from '../load/statistics.ts';
import { checkStored, countRows } from '../load/stored.ts';
import type { Server } from '../target/server.ts';
import { startTarget, type Target } from '../target/target.ts';
import { runTogether } from '../together.ts';
import { rateBetween, spansWith } from './storm-span.ts';

const BARS: Record<'p50' | 'p99', Bar> = { p50: ['<=', 3], p99: ['<=', 5] };

const RATE = 50;
const SECONDS = { full: 15, quick: 3, warmUp: 2 };
const STORM_CALLERS = 64;
/** The storm begins before the victims and ends after them. */
const STORM_MARGIN_SECONDS = 6;
const VICTIM_CHAINS = 500;
/** Calls of an open loop that may be in flight at once. */
const VICTIM_CALLERS = 50;
const GET_LATEST = 'iep.v1.IEPService/GetLatestIep';

interface Victims {
  readonly creations: readonly Call[];
  readonly reads: readonly Call[];
}

export async function probeVictim(
  server: Server,
  options: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const target = await startTarget(server, resources);
  const load = await createLoad(target, options.ghz);
  const seconds = options.quick ? SECONDS.quick : SECONDS.full;

  const rowsBefore = await countRows(target.database);
  const { victims: warmUp, storm: firstStorm } = await load.duringStorm(SECONDS.warmUp, options.signal);
  const calm = await load.victims(seconds, options.signal);
  const { victims: stormy, storm } = await load.duringStorm(seconds, options.signal);

  target.requireService();
  const creations = [warmUp, calm, stormy].flatMap((victims) => victims.creations);
  await checkStored(target.database, rowsBefore, new Map([[CREATE_IEP, [...creations, ...firstStorm, ...storm]]]));
  await requireInvariants(target);

  const hit = [...stormy.creations, ...stormy.reads];
  if (!spansWith(storm, hit)) {
    throw new InvalidRun('the storm did not last as long as the calls that it was to hit');
  }
  return [
    ...ratiosOf('creations', stormy.creations, calm.creations),
    ...ratiosOf('reads', stormy.reads, calm.reads),
    successFigure(statisticsOf([...calm.creations, ...calm.reads, ...hit, ...storm], CALL_TIMEOUT_MS), 1),
    valueFigure('storm, creations/s on its chain', rateBetween(storm, hit), formatRate),
    retriesFigure(target, target.retries()),
  ];
}

function ratiosOf(name: string, stormy: readonly Call[], calm: readonly Call[]): Figure[] {
  const value = statisticsOf(stormy, CALL_TIMEOUT_MS);
  const reference = statisticsOf(calm, CALL_TIMEOUT_MS);
  return [
    ratioFigure(`${name} p50, storm to calm`, { value: value.p50Ms, reference: reference.p50Ms }, formatMs, BARS.p50),
    ratioFigure(`${name} p99, storm to calm`, { value: value.p99Ms, reference: reference.p99Ms }, formatMs, BARS.p99),
  ];
}

async function createLoad(target: Target, ghz: string) {
  const { address, service } = target;
  const studentIds = await createChains(service.client, { chains: VICTIM_CHAINS, versionsPerChain: 1 });
  const [stormStudent] = await createChains(service.client, { chains: 1, versionsPerChain: 1 });
  const template: JsonObject = await creationTemplate();
  const read = { student_id: template['student_id']!, academic_year: template['academic_year']! };

  async function victims(seconds: number, signal: AbortSignal): Promise<Victims> {
    const open = { address, amount: { calls: RATE * seconds }, rate: RATE, concurrency: VICTIM_CALLERS };
    const [creations = [], reads = []] = await runTogether(signal, [
      (either) =>
        runGhz(ghz, { ...open, method: CREATE_IEP, data: fillTemplate(template, studentIds), signal: either }),
      (either) => runGhz(ghz, { ...open, method: GET_LATEST, data: fillTemplate(read, studentIds), signal: either }),
    ]);
    return { creations, reads };
  }

  async function duringStorm(seconds: number, signal: AbortSignal): Promise<{ victims: Victims; storm: Call[] }> {
    const before = await lengthOf(target, stormStudent!);
    let hit: Victims | undefined;
    const [storm = []] = await runTogether(signal, [
      (either) =>
        runGhz(ghz, {
          address,
          method: CREATE_IEP,
          data: fillTemplate(template, [stormStudent!]),
          amount: { seconds: seconds + STORM_MARGIN_SECONDS },
          concurrency: STORM_CALLERS,
          signal: either,
        }),
      async (either) => {
        while ((await lengthOf(target, stormStudent!)) < before + STORM_CALLERS) {
          await sleep(50, undefined, { signal: either });
        }
        hit = await victims(seconds, either);
        return [];
      },
    ]);
    return { victims: hit!, storm };
  }

  return { victims, duringStorm };
}

async function lengthOf({ database }: Target, studentId: string): Promise<number> {
  const [row] = await database.query('select count(*) as versions from ieps where student_id = ?', studentId);
  return Number(row?.['versions']);
}
