/** Two services on one database, 50 students, and as many watchers, all of them at the first service. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from '../../../test/support/sql.ts';
import { InvalidRun } from '../../invalid-run.ts';
import { CREATE_IEP, createChains, creationTemplate, fillTemplate } from '../../load/chains.ts';
import { type LoadOrder, runGhz } from '../../load/ghz.ts';
import { type MeasureOptions, requireInvariants } from '../../load/measure.ts';
import { type Call, isSuccess } from '../../load/statistics.ts';
import { checkStored, countRows } from '../../load/stored.ts';
import { processSeconds } from '../../target/processes.ts';
import type { Server } from '../../target/server.ts';
import { startOn, startTarget, type Target } from '../../target/target.ts';
import { startWatchers } from './watchers.ts';

export const WATCHERS = 50;

/** Each on a student of its own, so that a creation is told to one of them; or all on the district, each told of all. */
export type Scope = 'student' | 'district';

export interface Scene {
  readonly target: Target;
  readonly other: Target;
  /** Creates versions of the students' chains in turn. */
  create(writer: Target, load: Pick<LoadOrder, 'amount' | 'rate' | 'concurrency'>): Promise<Call[]>;
  /** Runs `work` while there are watchers, and waits until they were told of all that it created. */
  watched(scope: Scope, work: () => Promise<Call[]>): Promise<Watched>;
  /** Throws an InvalidRun when what was created is not what must be there. Answers all that was called. */
  check(): Promise<readonly Call[]>;
}

interface Watched {
  readonly calls: readonly Call[];
  /** Processor cores that the watchers took meanwhile, on average; undefined where that cannot be told. */
  readonly cores: number | undefined;
  /** From the time that each change bears to each arrival, in milliseconds. To be asked for before the next scene. */
  latencies(): Promise<readonly number[]>;
}

export async function createScene(
  server: Server,
  { ghz, signal }: MeasureOptions,
  resources: AsyncDisposableStack,
): Promise<Scene> {
  const target = await startTarget(server, resources);
  const other = await startOn(server.name, target.database, resources);
  const watchers = startWatchers(resources);
  const students = await createChains(target.service.client, { chains: WATCHERS, versionsPerChain: 1 });
  const data = fillTemplate(await creationTemplate(), students);
  const rowsBefore = await countRows(target.database);
  const all: Call[] = [];
  const used = () => processSeconds(watchers.pid);

  return {
    target,
    other,
    async create(writer, load) {
      const calls = await runGhz(ghz, { ...load, address: writer.address, method: CREATE_IEP, data, signal });
      all.push(...calls);
      return calls;
    },
    async watched(scope, work) {
      await feedSettled(target.database, signal);
      await watchers.watch(
        target.address,
        students.map((studentId) => (scope === 'student' ? studentId : '')),
      );
      const [before, start] = [used(), performance.now()];
      const calls = await work();
      const [after, seconds] = [used(), (performance.now() - start) / 1000];
      if (!calls.every(isSuccess)) {
        throw new InvalidRun('a creation failed, so that nobody knows of how many the watchers are told');
      }
      await watchers.told(calls.length * (scope === 'student' ? 1 : WATCHERS), signal);
      await watchers.stop();
      const cores = before === undefined || after === undefined ? undefined : (after - before) / seconds;
      return { calls, cores, latencies: () => watchers.latencies() };
    },
    async check() {
      [target, other].forEach(({ requireService }) => requireService());
      await checkStored(target.database, rowsBefore, new Map([[CREATE_IEP, all]]));
      await requireInvariants(target);
      return all;
    },
  };
}

/** Until then a watch may be told of what was committed before it: another transaction, like a vacuum, can hold it back. */
async function feedSettled(database: TestDatabase, signal: AbortSignal): Promise<void> {
  for (;;) {
    const [last] = await database.query(
      `select xid < pg_snapshot_xmin(pg_current_snapshot()) as settled from events where district_id = 'default'
       order by xid desc, seq desc limit 1`,
    );
    if (last?.['settled'] !== false) {
      return;
    }
    await sleep(20, undefined, { signal });
  }
}
