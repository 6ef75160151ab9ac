/** Processor time and memory of other processes, from Linux' /proc; undefined elsewhere. */
import { readdirSync, readFileSync } from 'node:fs';

/** /proc counts in ticks of USER_HZ, which is 100 on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;

interface ProcessStat {
  readonly name: string;
  readonly parent: number;
  /** Seconds of the process itself, and of its children that have ended. */
  readonly own: number;
  readonly endedChildren: number;
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function readStat(pid: number | string): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name may hold blanks and parentheses, so count from its end.
    const nameEnd = stat.lastIndexOf(')');
    const fields = stat.slice(nameEnd + 2).split(' ');
    const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND;
    return {
      name: stat.slice(stat.indexOf('(') + 1, nameEnd),
      parent: Number(fields[1]),
      own: seconds(11),
      endedChildren: seconds(13),
    };
  } catch {
    return undefined;
  }
}

/** Seconds of all children of this process that have ended, and so of every ghz to the last tick. */
export function endedChildrenSeconds(): number | undefined {
  return readStat(process.pid)?.endedChildren;
}

/** Seconds of the process and its children, running and ended. */
export function processSeconds(pid: number): number | undefined {
  const root = readStat(pid);
  if (root === undefined) {
    return undefined;
  }
  let total = root.own + root.endedChildren;
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? readStat(entry) : undefined;
    if (stat?.parent === pid) {
      total += stat.own + stat.endedChildren;
    }
  }
  return total;
}

/** The process that started `pid`, if both bear this name: a pid from elsewhere may mean another process here. */
export function parentNamed(name: string, pid: number): number | undefined {
  const stat = readStat(pid);
  return stat?.name === name && readStat(stat.parent)?.name === name ? stat.parent : undefined;
}

/** What the process holds in memory, in MB of 10^6 bytes. */
export function residentMegabytes(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return kilobytes === undefined ? undefined : (Number(kilobytes) * 1024) / 1e6;
  } catch {
    return undefined;
  }
}
