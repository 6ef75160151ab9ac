/**
 * What 50 watchers see, and what they cost. A change counts as committed at the time that it bears: its unit of work read the
 * database's clock before it wrote, so that the latency holds the rest of the unit and the commit as well, never less than
 * what comes after the commit. Database and watchers go by the clock of one machine.
 */
import { type Bar, type Figure, ratioFigure, valueFigure } from '../../figure.ts';
import { formatCores, formatMs, formatRate } from '../../format.ts';
import { CALL_TIMEOUT_MS } from '../../load/ghz.ts';
import { type MeasureOptions, retriesFigure } from '../../load/measure.ts';
import { successFigure } from '../../load/budget.ts';
import { percentile, statisticsOf } from '../../load/statistics.ts';
import type { Server } from '../../target/server.ts';
import type { Target } from '../../target/target.ts';
import { inTurns, medianOf } from '../turns.ts';
import { createScene, type Scene, type Scope, WATCHERS } from './scene.ts';

const SAME_PROCESS_BAR: Bar = ['<=', 50];
const OTHER_PROCESS_BAR: Bar = ['<=', 400];
const RATE_BAR: Bar = ['>=', 0.8];

/** Creations per second while latency is measured: an open loop far from the limit. */
const CALM_RATE = 20;
const CALLERS = 64;

interface Size {
  readonly calmCalls: number;
  readonly turns: number;
  readonly turnSeconds: number;
  /** A few seconds tell too little to be held to. */
  readonly rateBar: Bar | undefined;
}

const FULL: Size = { calmCalls: 400, turns: 10, turnSeconds: 3, rateBar: RATE_BAR };
const QUICK: Size = { calmCalls: 64, turns: 2, turnSeconds: 1, rateBar: undefined };

export async function probeWatch(
  server: Server,
  options: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Figure[]> {
  const size = options.quick ? QUICK : FULL;
  const scene = await createScene(server, options, resources);
  const { target, other } = scene;
  for (const writer of [target, other]) {
    await scene.create(writer, loadOf(size));
  }
  const figures = [
    ...(await latencyFigures(scene, target, size, ['the same process', SAME_PROCESS_BAR])),
    ...(await latencyFigures(scene, other, size, ['another process', OTHER_PROCESS_BAR])),
    ...(await rateFigures(scene, 'student', size, ['each of another student', size.rateBar])),
    // What it costs that each creation is sent 50 times.
    ...(await rateFigures(scene, 'district', size, ['all of the district', undefined])),
  ];
  const calls = await scene.check();
  return [
    ...figures,
    successFigure(statisticsOf(calls, CALL_TIMEOUT_MS), 1),
    retriesFigure(target, target.retries() + other.retries()),
  ];
}

function loadOf({ turnSeconds }: Size) {
  return { amount: { seconds: turnSeconds }, concurrency: CALLERS };
}

/** Each change goes to all watchers. */
async function latencyFigures(
  scene: Scene,
  writer: Target,
  { calmCalls }: Size,
  [where, bar]: readonly [string, Bar],
): Promise<Figure[]> {
  const calm = { amount: { calls: calmCalls }, rate: CALM_RATE, concurrency: CALLERS };
  const watched = await scene.watched('district', () => scene.create(writer, calm));
  const sorted = (await watched.latencies()).toSorted((a, b) => a - b);
  const name = `commit to event, ${WATCHERS} watchers of the district, ${CALM_RATE} creations/s in ${where}`;
  return [
    valueFigure(`${name}, p50`, percentile(sorted, 500), formatMs),
    valueFigure(`${name}, p99`, percentile(sorted, 990), formatMs, bar),
  ];
}

/** Creations in a closed loop, in turns with watchers and without. */
async function rateFigures(
  scene: Scene,
  scope: Scope,
  size: Size,
  [whom, bar]: readonly [string, Bar | undefined],
): Promise<Figure[]> {
  const cores: number[] = [];
  const create = () => scene.create(scene.target, loadOf(size));
  const watched = async () => {
    const { calls, cores: used } = await scene.watched(scope, create);
    cores.push(...(used === undefined ? [] : [used]));
    return calls;
  };
  const turns = Array.from({ length: size.turns }, (_, index) => index);
  const [rates, without] = await inTurns([watched, create], turns, async (take) => [
    statisticsOf(await take(), CALL_TIMEOUT_MS).callsPerSecond,
  ]);
  const name = `${WATCHERS} watchers, ${whom}`;
  return [
    ratioFigure(
      `creations/s by ${CALLERS} callers on ${WATCHERS} students with ${name}, to without`,
      { value: medianOf(rates!), reference: medianOf(without!) },
      formatRate,
      bar,
    ),
    {
      name: `cores of the clients of ${name}`,
      measured: formatCores(cores.length === 0 ? undefined : medianOf(cores)),
      kept: undefined,
    },
  ];
}
