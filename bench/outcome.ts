/** What became of one measurement on one database. */
import { actualOf, type Figure, requirementOf } from './figure.ts';
import { formatMs, formatRate, formatShare } from './format.ts';
import type { Load } from './load/measure.ts';
import type { DatabaseName } from './target/server.ts';

interface Measured {
  readonly database: DatabaseName;
  /** Of the scenario or the probe, or `SCENARIO/floor`. */
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Of a scenario. */
  readonly load?: Load;
}

interface Invalid {
  readonly database: DatabaseName;
  readonly name: string;
  /** Why nothing can be said about its speed. */
  readonly invalid: string;
}

export type Outcome = Measured | Invalid;
export type LoadOutcome = Measured & { readonly load: Load };

export function isLoad(outcome: Outcome): outcome is LoadOutcome {
  return 'load' in outcome;
}

/** `kept`, everything that is wrong, or that nothing was held against a bar. */
export function verdictOf(outcome: Outcome): string {
  if ('invalid' in outcome) {
    return `INVALID: ${outcome.invalid}`;
  }
  const missed = outcome.figures.filter(({ kept }) => kept === false);
  if (missed.length > 0) {
    return `MISSED: ${missed.map((figure) => `${requirementOf(figure)}, was ${actualOf(figure)}`).join('; ')}`;
  }
  return outcome.figures.some(({ kept }) => kept) ? 'kept' : 'no bar';
}

export type State = 'kept' | 'missed' | 'invalid';

export function stateOf(outcome: Outcome): State {
  if ('invalid' in outcome) {
    return 'invalid';
  }
  return outcome.figures.some(({ kept }) => kept === false) ? 'missed' : 'kept';
}

export function progressLine(outcome: Outcome): string {
  const name = `${outcome.database.padEnd(14)}  ${outcome.name.padEnd(21)}`;
  if ('invalid' in outcome) {
    return `${name}  ${verdictOf(outcome)}`;
  }
  if (!isLoad(outcome)) {
    const lines = outcome.figures.map((figure) => `\n    ${requirementOf(figure)}: ${actualOf(figure)}`);
    return `${name}  ${verdictOf(outcome)}${lines.join('')}`;
  }
  const { successRate, callsPerSecond, averageMs, p50Ms, p95Ms, p99Ms } = outcome.load.statistics;
  const latencies = Object.entries({ average: averageMs, p50: p50Ms, p95: p95Ms, p99: p99Ms })
    .map(([label, ms]) => `${label} ${formatMs(ms).padStart(7)}`)
    .join('  ');
  return `${name}  ${formatRate(callsPerSecond).padStart(6)}/s  ${latencies}  ${formatShare(successRate)} OK  ${verdictOf(outcome)}`;
}
