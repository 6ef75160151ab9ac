/** Holds figures against budgets. */
import type { Budgets } from './scenario.ts';
import type { Statistics } from './statistics.ts';
import { formatMs, formatShare } from './format.ts';

export interface Assertion {
  readonly requirement: string;
  /** What was measured, in words. */
  readonly actual: string;
  readonly kept: boolean;
}

const LATENCIES = { averageMs: 'average', p50Ms: 'p50', p95Ms: 'p95', p99Ms: 'p99' } as const;
type Latency = keyof typeof LATENCIES;

export function assertionsOf(statistics: Statistics, { budget, seedBudget }: Budgets): Assertion[] {
  const latencies = (Object.keys(LATENCIES) as Latency[]).map((measure) => ({
    requirement: `${LATENCIES[measure]} < ${formatMs(budget[measure])}`,
    actual: formatMs(statistics[measure]),
    kept: statistics[measure] < budget[measure],
  }));
  const seed = seedBudget.map(({ requirement, measure, atLeast = -Infinity, above = -Infinity, below = Infinity }) => {
    const value = statistics[measure];
    return {
      requirement: `seed: ${requirement}`,
      actual: measure === 'successRate' ? formatShare(value) : formatMs(value),
      kept: value >= atLeast && value > above && value < below,
    };
  });
  const failures = [...statistics.failures].map(([status, count]) => `${count} ${status}`);
  const success = {
    requirement: `success >= ${formatShare(budget.successRate)}`,
    actual: [formatShare(statistics.successRate), ...failures].join(', '),
    kept: statistics.successRate >= budget.successRate,
  };
  return [success, ...latencies, ...seed];
}
