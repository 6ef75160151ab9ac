/** Creations by the service beside the floor, on one server and minutes apart at most. */
import { type Bar, type Figure, ratioFigure } from '../figure.ts';
import { formatRate } from '../format.ts';
import { CREATE_IEP } from '../load/chains.ts';
import type { Scenario, ScenarioName } from '../load/scenario.ts';
import type { DatabaseName, Server } from '../target/server.ts';
import { FLOOR_CLIENTS, measureFloor } from './floor.ts';

interface Comparison {
  /** Of the floor's tables. */
  readonly chains: number;
  /** What ours must be as a multiple of the floor. Without one the ratio is only told. */
  readonly bars: Partial<Record<DatabaseName, Bar>>;
}

const COMPARISONS: Partial<Record<ScenarioName, Comparison>> = {
  'create-iep-hot': { chains: 1, bars: { postgresql: ['>=', 1.5], 'postgresql-1ms': ['>=', 4] } },
  'create-iep-cold': { chains: 10_000, bars: { postgresql: ['>=', 0.4] } },
};

const SECONDS = 10;
const QUICK_SECONDS = 2;

/** Whether there is a floor under the scenario: pgbench knows PostgreSQL only. */
export function hasFloor(database: DatabaseName, scenario: ScenarioName): boolean {
  return database !== 'sqlite' && scenario in COMPARISONS;
}

export interface CompareOptions {
  /** Undefined where it is not installed. */
  readonly pgbench: string | undefined;
  readonly quick: boolean;
  readonly signal: AbortSignal;
}

/** `rate` is what the service did, in creations per second. */
export async function compareWithFloor(
  server: Server,
  scenario: Scenario,
  rate: number,
  { pgbench, quick, signal }: CompareOptions,
): Promise<Figure[]> {
  const { chains, bars } = COMPARISONS[scenario.name]!;
  const name = `creations/s, ${scenario.load[CREATE_IEP]!.concurrency} callers to ${FLOOR_CLIENTS} pgbench clients`;
  if (pgbench === undefined) {
    return [{ name, measured: formatRate(rate), reference: 'pgbench missing', kept: undefined }];
  }
  const { content } = scenario.data[CREATE_IEP] as { content: object };
  const reference = await measureFloor(server, pgbench, {
    chains,
    document: JSON.stringify(content),
    seconds: quick ? QUICK_SECONDS : SECONDS,
    signal,
  });
  // Two seconds tell too little to be held to.
  return [ratioFigure(name, { value: rate, reference }, formatRate, quick ? undefined : bars[server.name])];
}
