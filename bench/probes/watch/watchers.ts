/** Watchers in a process of their own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidRun } from '../../invalid-run.ts';
import type { WatcherAnswer, WatcherCommand } from './commands.ts';

export interface Watchers {
  readonly pid: number;
  /** Begins a watch for each student id, the empty one being the whole district. What is committed from now on is told. */
  watch(address: string, studentIds: readonly string[]): Promise<void>;
  /** Waits until exactly so many changes came. Throws an InvalidRun when they do not, or more of them. */
  told(count: number, signal: AbortSignal): Promise<void>;
  /** From the time that each change bears to its arrival, in milliseconds. */
  latencies(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

/** Watchers who are behind may catch up. */
const CATCH_UP_MS = 60_000;

/** `resources` ends the process. */
export function startWatchers(resources: AsyncDisposableStack): Watchers {
  const child = fork(fileURLToPath(import.meta.resolve('./watcher-process.ts')));
  resources.defer(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(([code, killedBy]): WatcherAnswer => ({
    failure: `the watchers' process ended with ${String(code ?? killedBy)}`,
  }));

  async function order(command: WatcherCommand) {
    const answered = once(child, 'message').then(([answer]) => answer as WatcherAnswer);
    if (child.connected) {
      child.send(command);
    }
    const answer = await Promise.race([answered, ended]);
    if ('failure' in answer) {
      throw new InvalidRun(answer.failure);
    }
    return answer;
  }

  return {
    pid: child.pid!,
    async watch(address, studentIds) {
      await order({ do: 'watch', address, studentIds });
    },
    async told(expected, signal) {
      const patience = performance.now() + CATCH_UP_MS;
      let { count } = await order({ do: 'count' });
      while (count < expected && performance.now() < patience) {
        await sleep(20, undefined, { signal });
        ({ count } = await order({ do: 'count' }));
      }
      if (count !== expected) {
        throw new InvalidRun(`the watchers were told of ${count} changes instead of ${expected}`);
      }
    },
    async latencies() {
      return (await order({ do: 'latencies' })).latenciesMs;
    },
    async stop() {
      await order({ do: 'stop' });
    },
  };
}
