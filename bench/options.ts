/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { messageOf } from './format.ts';
import { MEASUREMENTS, type Plan, plansOf } from './plan.ts';
import { DATABASES } from './target/server.ts';

export interface Options {
  readonly quick: boolean;
  readonly plans: readonly Plan[];
}

export const USAGE = `Usage: npm run bench -- [options]

  --quick            fewer calls, smaller probes; whether memory is flat is not held against its bar
  --database=NAME    only this database: ${DATABASES.join(', ')}
  --only=NAME        only this measurement: ${MEASUREMENTS.join(', ')}

--database and --only may be given several times. postgresql-1ms takes 1 ms for a flush. The ceiling is measured with
every scenario; create-iep-hot and create-iep-cold stand beside what pgbench does on the same PostgreSQL.
approval and the probes victim, growth, watch, reviews, compare and memory are for postgresql only, the probe overload is for
sqlite, too; approval is measured with create-iep-cold, which it stands beside.

Exit code: 0 every budget was kept, 1 a budget was missed, 2 the run is invalid.`;

/** The command line names something that there is not. */
export class OptionError extends Error {}

/** Undefined when it is the usage that is asked for. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { quick, help, database, only } = parse(args);
  if (help) {
    return undefined;
  }
  const plans = plansOf(oneOf('--database', DATABASES, database), oneOf('--only', MEASUREMENTS, only));
  if (plans.length === 0) {
    throw new OptionError(`${only.join(', ')} is not measured on ${database.join(', ')}`);
  }
  return { quick, plans };
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
