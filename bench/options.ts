/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { messageOf } from './format.ts';
import { DATABASES, type DatabaseName } from './targets.ts';
import { SCENARIOS, type ScenarioName } from './scenario.ts';

export interface Options {
  readonly quick: boolean;
  readonly databases: readonly DatabaseName[];
  readonly scenarios: readonly ScenarioName[];
}

export const USAGE = `Usage: npm run bench -- [options]

  --quick            fewer calls, same assertions
  --database=NAME    only this database: ${DATABASES.join(', ')}
  --only=SCENARIO    only this scenario, beside the ceiling: ${SCENARIOS.join(', ')}

--database and --only may be given several times.

Exit code: 0 every budget was kept, 1 a budget was missed, 2 the run is invalid.`;

/** The command line names something that there is not. */
export class OptionError extends Error {}

/** Undefined when it is the usage that is asked for. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { quick, help, database, only } = parse(args);
  if (help) {
    return undefined;
  }
  const scenarios = oneOf('--only', SCENARIOS, only);
  return {
    quick,
    databases: oneOf('--database', DATABASES, database),
    // Whatever is measured, its ceiling stands beside it.
    scenarios: SCENARIOS.filter((name) => name === 'ceiling' || scenarios.includes(name)),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        database: { type: 'string', multiple: true, default: [] },
        only: { type: 'string', multiple: true, default: [] },
      },
    }).values;
  } catch (error) {
    throw new OptionError(messageOf(error));
  }
}

/** All that there are when none is given. */
function oneOf<T extends string>(option: string, known: readonly T[], given: readonly string[]): readonly T[] {
  const unknown = given.find((name) => !known.some((candidate) => candidate === name));
  if (unknown !== undefined) {
    throw new OptionError(`${option} takes ${known.join(', ')}, not "${unknown}"`);
  }
  return given.length === 0 ? known : known.filter((name) => given.includes(name));
}
