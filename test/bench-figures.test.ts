import { describe, expect, it } from 'vitest';
import { actualOf, ratioFigure, requirementOf, valueFigure } from '../bench/figure.ts';
import { resultOf } from '../bench/floor/pgbench.ts';
import { formatMs } from '../bench/format.ts';
import { InvalidRun } from '../bench/invalid-run.ts';
import type { Call } from '../bench/load/statistics.ts';
import { OptionError, readOptions } from '../bench/options.ts';
import { type Outcome, stateOf, verdictOf } from '../bench/outcome.ts';
import { pressedOf } from '../bench/probes/goodput.ts';
import { curveOf } from '../bench/probes/memory-curve.ts';
import { rateBetween, spansWith } from '../bench/probes/storm-span.ts';
import { isRetry } from '../bench/target/watch-service.ts';

const database = 'postgresql';

describe('a figure', () => {
  it('keeps a bar up to its bound', () => {
    expect(valueFigure('p50', 3, formatMs, ['<=', 3]).kept).toBe(true);
    expect(valueFigure('p50', 3, formatMs, ['<', 3]).kept).toBe(false);
    expect(valueFigure('rate', 4, String, ['>=', 4]).kept).toBe(true);
    expect(valueFigure('retries', 1, String, ['=', 0]).kept).toBe(false);
  });

  it('without a bar is neither kept nor missed', () => {
    expect(valueFigure('p50', 3, formatMs).kept).toBeUndefined();
  });

  it('that is a ratio holds the ratio against the bar, not its sides', () => {
    const figure = ratioFigure('p50', { value: 15, reference: 5 }, formatMs, ['<=', 2.9]);
    expect(figure).toMatchObject({ ratio: 3, kept: false });
    expect(requirementOf(figure)).toBe('p50 <= 2.9');
    expect(actualOf(figure)).toBe('15.0 ms / 5.00 ms = 3.00');
  });

  it('that is no number misses every bar', () => {
    expect(ratioFigure('p50', { value: 0, reference: 0 }, formatMs, ['<=', 3]).kept).toBe(false);
    expect(ratioFigure('rate', { value: 0, reference: 0 }, String, ['>=', 3]).kept).toBe(false);
  });
});

describe('an outcome', () => {
  const kept = valueFigure('p50', 1, formatMs, ['<=', 3]);
  const missed = ratioFigure('rate', { value: 3, reference: 2 }, String, ['>=', 4]);
  const told = valueFigure('peak', 1, String);

  it.each<[string, Outcome, string]>([
    ['kept', { database, name: 'x', figures: [kept, told] }, 'kept'],
    ['kept', { database, name: 'x', figures: [told] }, 'no bar'],
    ['missed', { database, name: 'x', figures: [kept, missed] }, 'MISSED: rate >= 4, was 3 / 2 = 1.50'],
    ['invalid', { database, name: 'x', invalid: 'no disk' }, 'INVALID: no disk'],
  ])('is %s when its figures say so', (state, outcome, verdict) => {
    expect([stateOf(outcome), verdictOf(outcome)]).toEqual([state, verdict]);
  });

  it('is not missed for want of pgbench', () => {
    const figure = { name: 'rate', measured: '3', reference: 'pgbench missing', kept: undefined };
    expect(stateOf({ database, name: 'x', figures: [figure] })).toBe('kept');
    expect(actualOf(figure)).toBe('3 (pgbench missing)');
  });
});

describe("pgbench's output", () => {
  const output = (over: { processed?: string; failed?: string } = {}) => `pgbench (15.6, server 18.4)
transaction type: create-iep.sql
query mode: extended
number of clients: 32
number of transactions actually processed: ${over.processed ?? '5581'}
number of failed transactions: ${over.failed ?? '0 (0.000%)'}
latency average = 57.337 ms
initial connection time = 61.214 ms
tps = 558.106233 (without initial connection time)
`;

  it('has the rate and the number of transactions', () => {
    expect(resultOf(output())).toEqual({ transactions: 5581, transactionsPerSecond: 558.106233 });
  });

  it('of version 14 does not speak of failures', () => {
    expect(resultOf(output().replace(/^number of failed.*\n/m, '')).transactions).toBe(5581);
  });

  it.each([
    ['says nothing', ''],
    ['tells of failed transactions', output({ failed: '3 (0.054%)' })],
    ['tells of no transactions', output({ processed: '0' })],
  ])('makes the floor invalid when it %s', (_, text) => {
    expect(() => resultOf(text)).toThrow(InvalidRun);
  });
});

describe('memory', () => {
  it('is told by the samples at the quarters, and the means within them', () => {
    expect(curveOf([10, 20, 30, 50, 40, 60, 90, 70, 80])).toEqual({
      at25: 30,
      at50: 40,
      at75: 90,
      atEnd: 80,
      peak: 90,
      secondQuarter: 40,
      lastQuarter: 80,
    });
  });

  it('has no quarters in three samples', () => {
    expect(curveOf([1, 2, 3])).toBeUndefined();
  });
});

describe('a storm', () => {
  /** Calls that end every `everyMs`, each after 100 ms. */
  function calls(fromMs: number, toMs: number, everyMs: number): Call[] {
    return Array.from({ length: Math.floor((toMs - fromMs) / everyMs) + 1 }, (_, index) => ({
      status: 'OK',
      latencyMs: 100,
      endMs: fromMs + index * everyMs,
    }));
  }
  const victims = calls(10_000, 20_000, 20);

  it.each([
    ['lasts from before the first call until after the last one', true, calls(9000, 21_000, 10)],
    ['begins too late', false, calls(10_001, 21_000, 10)],
    ['ends too early', false, calls(9000, 19_990, 10)],
    ['pauses between', false, [...calls(9000, 14_000, 10), ...calls(16_500, 21_000, 10)]],
  ])('that %s counts: %s', (_, counts, storm) => {
    expect(spansWith(storm, victims)).toBe(counts);
  });

  it('has the rate that it had while the others called', () => {
    expect(rateBetween(calls(0, 30_000, 10), victims)).toBeCloseTo(100, 0);
  });
});

describe('what is done under pressure', () => {
  const window = { pressedSeconds: 4, settlingSeconds: 1 };
  const ended = (status: string, endMs: number, latencyMs = 10): Call => ({ status, endMs, latencyMs });

  it('counts what succeeds after it has settled, and until no more is begun', () => {
    const calls = [
      ended('OK', 10),
      ended('OK', 999),
      ...[1000, 2000, 2001, 3000, 3500, 3999].map((endMs) => ended('OK', endMs, 500)),
      ended('ResourceExhausted', 2000),
      ended('OK', 4000, 2000),
    ];
    expect(pressedOf(calls, window)).toEqual({ goodput: 2, p99Ms: 2000, answered: 1 });
  });

  it('leaves out what the service did not answer', () => {
    const calls = [ended('DeadlineExceeded', 10), ended('Unavailable', 2000), ended('ResourceExhausted', 3000)];
    expect(pressedOf(calls, window)).toEqual({ goodput: 0, p99Ms: Infinity, answered: 1 / 3 });
  });
});

describe("the service's log", () => {
  it.each([
    [true, '{"level":30,"attempt":1,"failure":"conflict","delayMs":3,"msg":"retry"}'],
    [false, '{"level":30,"reachable":false,"msg":"database"}'],
    [false, '"retry"'],
    [false, '(node:1) Warning: retry'],
  ])('tells of a retry: %s in %s', (expected, line) => {
    expect(isRetry(line)).toBe(expected);
  });
});

describe('the command line', () => {
  const plan = (...args: string[]) => readOptions(args)?.plans;

  it('without a choice measures all, on all', () => {
    expect(plan()?.map(({ database: name, probes }) => [name, probes])).toEqual([
      ['postgresql', ['victim', 'overload', 'growth', 'watch', 'reviews', 'compare', 'memory']],
      ['postgresql-1ms', []],
      ['sqlite', ['overload']],
    ]);
    expect(plan()?.[1]?.scenarios).toEqual(['ceiling', 'create-iep-hot', 'create-iep-cold']);
  });

  it('measures the ceiling beside a scenario, and not beside a probe', () => {
    expect(plan('--only=mixed', '--database=sqlite')).toEqual([
      { database: 'sqlite', scenarios: ['ceiling', 'mixed'], probes: [] },
    ]);
    expect(plan('--only=memory')).toEqual([{ database: 'postgresql', scenarios: [], probes: ['memory'] }]);
  });

  it('measures creations in the run with the approval flow that stands beside them', () => {
    expect(plan('--only=approval')).toEqual([
      { database: 'postgresql', scenarios: ['ceiling', 'create-iep-cold', 'approval'], probes: [] },
    ]);
  });

  it.each([['--only=memroy'], ['--database=mysql'], ['--fast'], ['--only=memory', '--database=sqlite']])(
    'that asks for what there is not is refused: %s %s',
    (...args) => {
      expect(() => readOptions(args)).toThrow(OptionError);
    },
  );
});
