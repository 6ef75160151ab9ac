/** What became of one scenario on one database. */
import { formatMs, formatRate, formatShare } from './format.ts';
import type { Measurement } from './measure.ts';
import type { ScenarioName } from './scenario.ts';
import type { DatabaseName } from './targets.ts';

interface Invalid {
  readonly database: DatabaseName;
  readonly scenario: ScenarioName;
  /** Why nothing can be said about its speed. */
  readonly invalid: string;
}

export type Outcome = Measurement | Invalid;

export function isKept(outcome: Outcome): boolean {
  return !('invalid' in outcome) && outcome.assertions.every(({ kept }) => kept);
}

/** `kept`, or everything that is wrong. */
export function verdictOf(outcome: Outcome): string {
  if ('invalid' in outcome) {
    return `INVALID: ${outcome.invalid}`;
  }
  const missed = outcome.assertions.filter(({ kept }) => !kept);
  return missed.length === 0
    ? 'kept'
    : `MISSED: ${missed.map(({ requirement, actual }) => `${requirement}, was ${actual}`).join('; ')}`;
}

export function progressLine(outcome: Outcome): string {
  const name = `${outcome.database.padEnd(10)}  ${outcome.scenario.padEnd(15)}`;
  if ('invalid' in outcome) {
    return `${name}  ${verdictOf(outcome)}`;
  }
  const { successRate, callsPerSecond, averageMs, p50Ms, p95Ms, p99Ms } = outcome.statistics;
  const latencies = Object.entries({ average: averageMs, p50: p50Ms, p95: p95Ms, p99: p99Ms })
    .map(([label, ms]) => `${label} ${formatMs(ms).padStart(7)}`)
    .join('  ');
  return `${name}  ${formatRate(callsPerSecond).padStart(6)}/s  ${latencies}  ${formatShare(successRate)} OK  ${verdictOf(outcome)}`;
}
