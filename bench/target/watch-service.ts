/** What the service says on standard error, and how it ends. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const LAST_LINES = 5;

export interface ServiceWatch {
  readonly retries: () => number;
  /** How the service came to its end; undefined while it runs. */
  readonly end: () => string | undefined;
}

export function watchService(child: Pick<ChildProcess, 'stderr' | 'exitCode' | 'signalCode'>): ServiceWatch {
  let retries = 0;
  let last: string[] = [];
  if (child.stderr) {
    createInterface(child.stderr).on('line', (line) => {
      retries += isRetry(line) ? 1 : 0;
      last = [...last, line].slice(-LAST_LINES);
    });
  }
  return {
    retries: () => retries,
    end() {
      const end = child.signalCode ?? child.exitCode;
      return end === null ? undefined : `the service ended with ${end}: ${last.join('\n') || 'it said nothing'}`;
    },
  };
}

/** Whether this is the line that the service logs before it runs a unit of work again. */
export function isRetry(line: string): boolean {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null && 'msg' in entry && entry.msg === 'retry';
  } catch {
    // Node's own words are no JSON.
    return false;
  }
}
