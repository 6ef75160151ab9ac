/** The outcomes as a markdown table. */
import { formatCores, formatFigure, formatRate, formatShare } from './format.ts';
import { type Outcome, verdictOf } from './outcome.ts';
import type { Statistics } from './statistics.ts';

export const COLUMNS = [
  'Database',
  'Scenario',
  'Callers',
  'Calls',
  'Success',
  'Calls/s',
  'Of ceiling',
  'Average ms',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'p99.9 ms',
  'Max ms',
  'ghz cores',
  'Service cores',
  'Database cores',
  'Budget',
] as const;

export function markdownReport(outcomes: readonly Outcome[], conditions: readonly string[]): string {
  const rows = [COLUMNS, COLUMNS.map((_, index) => (index < 2 || index === COLUMNS.length - 1 ? '---' : '---:'))];
  const lines = [...rows, ...tableRows(outcomes)].map((cells) => `| ${cells.map(escape).join(' | ')} |`);
  return `# Benchmarks\n\n${conditions.map((condition) => `- ${condition}`).join('\n')}\n\n${lines.join('\n')}\n`;
}

/** A row for each outcome, and one for each of its methods where there are several. */
export function tableRows(outcomes: readonly Outcome[]): string[][] {
  return outcomes.flatMap((outcome) => {
    const { database, scenario } = outcome;
    if ('invalid' in outcome) {
      return [[database, scenario, ...Array.from({ length: COLUMNS.length - 3 }, () => '-'), verdictOf(outcome)]];
    }
    const ceiling = outcomes.find((other) => other.database === database && other.scenario === 'ceiling');
    const ceilingRate = ceiling && !('invalid' in ceiling) ? ceiling.statistics.callsPerSecond : undefined;
    const figures = (callers: number, statistics: Statistics) => [
      String(callers),
      ...figureCells(statistics, ceilingRate),
    ];
    const { concurrency, statistics, methods, cores } = outcome;
    const coreCells = [cores.ghz, cores.service, cores.database].map(formatCores);
    return [
      [database, scenario, ...figures(concurrency, statistics), ...coreCells, verdictOf(outcome)],
      ...[...methods].map(([method, { callers, statistics: own }]) => [
        database,
        `${scenario}: ${method.replace(/^.*\//, '')}`,
        ...figures(callers, own),
        '',
        '',
        '',
        '',
      ]),
    ];
  });
}

function figureCells(statistics: Statistics, ceilingRate: number | undefined): string[] {
  const { calls, successRate, callsPerSecond, averageMs, p50Ms, p95Ms, p99Ms, p999Ms, maxMs } = statistics;
  return [
    String(calls),
    formatShare(successRate),
    formatRate(callsPerSecond),
    ceilingRate === undefined ? '-' : `${Math.round((100 * callsPerSecond) / ceilingRate)} %`,
    ...[averageMs, p50Ms, p95Ms, p99Ms, p999Ms, maxMs].map(formatFigure),
  ];
}

/** A cell of a table may hold neither its border nor a line break. */
function escape(cell: string): string {
  return cell.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
}
