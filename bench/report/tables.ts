/** The outcomes as rows of text: one table of what was under load, one of the figures that stand against something else. */
import type { Figure } from '../figure.ts';
import { formatCores, formatFigure, formatRate, formatShare } from '../format.ts';
import type { Statistics } from '../load/statistics.ts';
import { isLoad, type LoadOutcome, type Outcome, verdictOf } from '../outcome.ts';

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Those that have rows. The first two columns and the last one are words, the others figures. */
export function tablesOf(outcomes: readonly Outcome[]): Table[] {
  const loads = outcomes.filter(isLoad);
  const loadTable = loads.flatMap((outcome) => loadRows(outcome, ceilingOf(loads, outcome)));
  return [
    { title: 'Load', columns: LOAD_COLUMNS, rows: loadTable },
    { title: 'Ratios and probes', columns: FIGURE_COLUMNS, rows: outcomes.flatMap(figureRows) },
    { title: 'Invalid', columns: ['Database', 'Measurement', 'Why'], rows: outcomes.flatMap(invalidRows) },
  ].filter(({ rows }) => rows.length > 0);
}

const LOAD_COLUMNS = [
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
  'Retries',
  'Budget',
];

function ceilingOf(loads: readonly LoadOutcome[], { database }: LoadOutcome): number | undefined {
  const ceiling = loads.find((other) => other.database === database && other.name === 'ceiling');
  return ceiling?.load.statistics.callsPerSecond;
}

/** A row for the scenario, and one for each of its methods where there are several. */
function loadRows(outcome: LoadOutcome, ceilingRate: number | undefined): string[][] {
  const { database, name, load } = outcome;
  const { concurrency, statistics, methods, cores, retries } = load;
  const cells = (callers: number, own: Statistics) => [String(callers), ...statisticsCells(own, ceilingRate)];
  return [
    [
      database,
      name,
      ...cells(concurrency, statistics),
      ...[cores.ghz, cores.service, cores.database].map(formatCores),
      String(retries),
      verdictOf(outcome),
    ],
    ...[...methods].map(([method, { callers, statistics: own }]) => [
      database,
      `${name}: ${method.replace(/^.*\//, '')}`,
      ...cells(callers, own),
      ...Array.from({ length: 5 }, () => ''),
    ]),
  ];
}

function statisticsCells(statistics: Statistics, ceilingRate: number | undefined): string[] {
  const { calls, successRate, callsPerSecond, averageMs, p50Ms, p95Ms, p99Ms, p999Ms, maxMs } = statistics;
  return [
    String(calls),
    formatShare(successRate),
    formatRate(callsPerSecond),
    ceilingRate === undefined ? '-' : `${Math.round((100 * callsPerSecond) / ceilingRate)} %`,
    ...[averageMs, p50Ms, p95Ms, p99Ms, p999Ms, maxMs].map(formatFigure),
  ];
}

const FIGURE_COLUMNS = ['Database', 'Measurement', 'Measured', 'Against', 'Ratio', 'Bar', 'Verdict'];

/** A row for each figure of what is no load: there the budget's column has them. */
function figureRows(outcome: Outcome): string[][] {
  if ('invalid' in outcome || isLoad(outcome)) {
    return [];
  }
  const { database, name } = outcome;
  return outcome.figures.map((figure) => [
    database,
    `${name}: ${figure.name}`,
    figure.measured,
    figure.reference ?? '',
    figure.ratio?.toFixed(2) ?? '',
    figure.bar ?? '',
    figureVerdict(figure),
  ]);
}

function figureVerdict({ kept }: Figure): string {
  return kept === undefined ? '' : kept ? 'kept' : 'MISSED';
}

function invalidRows(outcome: Outcome): string[][] {
  return 'invalid' in outcome ? [[outcome.database, outcome.name, outcome.invalid]] : [];
}
