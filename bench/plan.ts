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
  // Its file has one writer, whom a thousand callers at once keep busy for seconds, and thousands of drafts for minutes.
  sqlite: SCENARIOS.filter((name) => name !== 'thousand' && name !== 'approval'),
};
const PROBES_OF: Partial<Record<DatabaseName, readonly ProbeName[]>> = {
  postgresql: PROBE_NAMES,
  sqlite: ['overload'],
};

/** What has to be measured in the same run. Beside whatever is measured by load stands its ceiling. */
const STANDS_BESIDE: Partial<Record<ScenarioName, readonly ScenarioName[]>> = { approval: ['create-iep-cold'] };

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
      const beside = scenarios.filter(isChosen).flatMap((name) => ['ceiling', ...(STANDS_BESIDE[name] ?? [])]);
      return {
        database,
        scenarios: scenarios.filter((name) => isChosen(name) || beside.includes(name)),
        probes: (PROBES_OF[database] ?? []).filter(isChosen),
      };
    })
    .filter(({ scenarios, probes }) => scenarios.length + probes.length > 0);
}
