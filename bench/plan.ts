/** What is measured on which database. */
import { PROBES, type ProbeName } from './probes/probe.ts';
import { SCENARIOS, type ScenarioName } from './load/scenario.ts';
import type { DatabaseName } from './target/server.ts';

const PROBE_NAMES = Object.keys(PROBES) as ProbeName[];

/** What `--only` takes. */
export const MEASUREMENTS = [...SCENARIOS, ...PROBE_NAMES];
export type MeasurementName = ScenarioName | ProbeName;

/** Where it takes all scenarios, and the probes with them, or only some. */
const SCENARIOS_OF: Record<DatabaseName, readonly ScenarioName[]> = {
  postgresql: SCENARIOS,
  'postgresql-1ms': ['ceiling', 'create-iep-hot', 'create-iep-cold'],
  // Its file has one writer, whom a thousand callers at once keep busy for seconds.
  sqlite: SCENARIOS.filter((name) => name !== 'thousand'),
};
const PROBES_OF: Partial<Record<DatabaseName, readonly ProbeName[]>> = { postgresql: PROBE_NAMES };

export interface Plan {
  readonly database: DatabaseName;
  readonly scenarios: readonly ScenarioName[];
  readonly probes: readonly ProbeName[];
}

/** The plans of databases that have something to do. */
export function plansOf(databases: readonly DatabaseName[], chosen: readonly MeasurementName[]): Plan[] {
  const isChosen = (name: MeasurementName) => chosen.includes(name);
  return databases
    .map((database) => {
      const scenarios = SCENARIOS_OF[database];
      const some = scenarios.some(isChosen);
      return {
        database,
        // Whatever is measured by load, its ceiling stands beside it.
        scenarios: scenarios.filter((name) => isChosen(name) || (name === 'ceiling' && some)),
        probes: (PROBES_OF[database] ?? []).filter(isChosen),
      };
    })
    .filter(({ scenarios, probes }) => scenarios.length + probes.length > 0);
}
