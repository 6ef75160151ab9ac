/**
 * Lines up the units of work of one process before they take a connection: one at a time in a lane, in order of arrival,
 * and at most `concurrency` over all lanes, lanes taking turns. So a process never conflicts with itself, and the callers
 * who wait for a busy chain hold no connection that another student's call needs.
 *
 * Lanes are about fairness and speed. Correctness does not rest on them: another process has lanes of its own.
 */
export interface WriteLanes {
  enqueue<T>(lane: string, task: () => Promise<T>): Ticket<T>;
}

interface Ticket<T> {
  readonly result: Promise<T>;
  /** Takes the task out of its lane if it has not started; says whether it did. `result` then never settles. */
  cancel(): boolean;
}

export function createWriteLanes(concurrency: number): WriteLanes {
  /** Waiting tasks by lane; a lane is here from its first task until its last one has run. */
  const lanes = new Map<string, Set<() => Promise<void>>>();
  /** Lanes whose next task may start as soon as there is room. */
  const ready: string[] = [];
  let running = 0;

  function startReady(): void {
    while (running < concurrency && ready.length > 0) {
      void runNext(ready.shift()!);
    }
  }

  async function runNext(lane: string): Promise<void> {
    const waiting = lanes.get(lane)!;
    const [task] = waiting;
    if (task !== undefined) {
      waiting.delete(task);
      running++;
      await task();
      running--;
    }
    if (waiting.size > 0) {
      ready.push(lane);
    } else {
      lanes.delete(lane);
    }
    startReady();
  }

  return {
    enqueue<T>(lane: string, task: () => Promise<T>) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const run = () => task().then(resolve, reject);
      const waiting = lanes.get(lane);
      if (waiting === undefined) {
        lanes.set(lane, new Set([run]));
        ready.push(lane);
        startReady();
      } else {
        waiting.add(run);
      }
      return { result: promise, cancel: () => lanes.get(lane)?.delete(run) ?? false };
    },
  };
}
