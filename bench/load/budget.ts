/** Holds the figures of a scenario against its budgets. */
import { type Figure, valueFigure } from '../figure.ts';
import { formatMs, formatShare } from '../format.ts';
import type { Budgets } from './scenario.ts';
import type { Statistics } from './statistics.ts';

const LATENCIES = { averageMs: 'average', p50Ms: 'p50', p95Ms: 'p95', p99Ms: 'p99' } as const;
type Latency = keyof typeof LATENCIES;

export function budgetFigures(statistics: Statistics, { budget, seedBudget }: Budgets): Figure[] {
  const latencies = (Object.keys(LATENCIES) as Latency[]).map((measure) =>
    valueFigure(LATENCIES[measure], statistics[measure], formatMs, ['<', budget[measure]]),
  );
  const seed = seedBudget.map(({ requirement, measure, atLeast = -Infinity, above = -Infinity, below = Infinity }) => {
    const value = statistics[measure];
    return {
      name: 'seed:',
      measured: measure === 'successRate' ? formatShare(value) : formatMs(value),
      bar: requirement,
      kept: value >= atLeast && value > above && value < below,
    };
  });
  return [successFigure(statistics, budget.successRate), ...latencies, ...seed];
}

/** Names what failed, and how. */
export function successFigure({ successRate, failures }: Statistics, atLeast: number, name = 'success'): Figure {
  const failed = [...failures].map(([status, count]) => `${count} ${status}`);
  return {
    ...valueFigure(name, successRate, formatShare, ['>=', atLeast]),
    measured: [formatShare(successRate), ...failed].join(', '),
  };
}
