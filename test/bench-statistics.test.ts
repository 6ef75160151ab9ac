import { describe, expect, it } from 'vitest';
import { requirementOf } from '../bench/figure.ts';
import { InvalidRun } from '../bench/invalid-run.ts';
import { besideCreations } from '../bench/load/beside-creations.ts';
import { budgetFigures } from '../bench/load/budget.ts';
import { callsOf } from '../bench/load/ghz.ts';
import type { Load } from '../bench/load/measure.ts';
import { type Call, isSuccess, percentile, statisticsOf } from '../bench/load/statistics.ts';

const TIMEOUT_MS = 20_000;

/** Calls that ended one after the other, `latencies` in milliseconds. */
function callsOfMs(...latencies: number[]): Call[] {
  return latencies.map((latencyMs, index) => ({ status: 'OK', latencyMs, endMs: 1000 + index }));
}

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);

  it.each([
    [500, 50],
    [950, 95],
    [990, 99],
    [999, 100],
    [1000, 100],
  ])('%i of 1000 of 1 to 100 is %i', (perMille, expected) => {
    expect(percentile(hundred, perMille)).toBe(expected);
  });

  it('takes the higher neighbour where the rank is no whole number', () => {
    expect(percentile([1, 2, 3], 500)).toBe(2);
    expect(percentile([1, 2, 3, 4], 950)).toBe(4);
  });

  it('of one value is that value', () => {
    expect([500, 950, 990, 999].map((perMille) => percentile([7], perMille))).toEqual([7, 7, 7, 7]);
  });
});

describe('statistics', () => {
  it('do not depend on the order of the calls', () => {
    const { p50Ms, p99Ms, maxMs, averageMs } = statisticsOf(callsOfMs(30, 10, 20, 100), TIMEOUT_MS);
    expect({ p50Ms, p99Ms, maxMs, averageMs }).toEqual({ p50Ms: 20, p99Ms: 100, maxMs: 100, averageMs: 40 });
  });

  it('sort by value, not by text', () => {
    expect(statisticsOf(callsOfMs(9, 100, 20), TIMEOUT_MS).p50Ms).toBe(20);
  });

  it('count the time from the start of the first call to the end of the last one', () => {
    const calls = [
      { status: 'OK', latencyMs: 500, endMs: 1500 },
      { status: 'OK', latencyMs: 100, endMs: 1200 },
      { status: 'OK', latencyMs: 900, endMs: 3000 },
    ];
    expect(statisticsOf(calls, TIMEOUT_MS)).toMatchObject({ seconds: 2, callsPerSecond: 1.5 });
  });

  it('count a failed call as slow, however fast it failed, and not as work done', () => {
    const failed = { status: 'Unavailable', latencyMs: 1, endMs: 1 };
    const calls = [...callsOfMs(...Array.from({ length: 98 }, () => 10)), failed, failed];
    const { successRate, failures, seconds, callsPerSecond, p50Ms, p99Ms } = statisticsOf(calls, TIMEOUT_MS);
    expect({ successRate, p50Ms, p99Ms }).toEqual({ successRate: 0.98, p50Ms: 10, p99Ms: TIMEOUT_MS });
    expect([...failures]).toEqual([['Unavailable', 2]]);
    expect(callsPerSecond).toBe(98 / seconds);
  });

  it('refuse to speak of no calls', () => {
    expect(() => statisticsOf([], TIMEOUT_MS)).toThrow(RangeError);
  });
});

describe('budgets', () => {
  const budget = { successRate: 1, averageMs: 40, p50Ms: 50, p95Ms: 200, p99Ms: 200 };
  const seedBudget = [
    { requirement: 'mixed workload > 90 %', measure: 'successRate', above: 0.9 },
    { requirement: 'student creation < 500 ms average', measure: 'averageMs', below: 500 },
  ] as const;

  function missed(calls: Call[]): string[] {
    const figures = budgetFigures(statisticsOf(calls, TIMEOUT_MS), { budget, seedBudget: [...seedBudget] });
    return figures.filter(({ kept }) => kept === false).map(requirementOf);
  }

  it('are kept below the bounds', () => {
    expect(missed(callsOfMs(30, 10, 20))).toEqual([]);
  });

  it('are missed at a bound', () => {
    expect(missed(callsOfMs(40))).toEqual(['average < 40.0 ms']);
  });

  it('are missed by a single failed call', () => {
    const calls = [
      ...callsOfMs(...Array.from({ length: 999 }, () => 1)),
      { status: 'Unavailable', latencyMs: 1, endMs: 1 },
    ];
    expect(missed(calls)).toEqual(['success >= 100 %']);
  });

  it("hold the seed's bounds apart from ours", () => {
    const failed = Array.from({ length: 10 }, () => ({ status: 'Unavailable', latencyMs: 1, endMs: 1 }));
    expect(missed([...callsOfMs(...Array.from({ length: 90 }, () => 1)), ...failed])).toContain(
      'seed: mixed workload > 90 %',
    );
  });
});

describe('the approval flow', () => {
  /** A load with this many calls in a second. */
  const loadOf = (calls: number, methods: Load['methods'] = new Map()): Load => ({
    concurrency: 64,
    statistics: statisticsOf(
      Array.from({ length: calls }, () => ({ status: 'OK', latencyMs: 1000, endMs: 1000 })),
      TIMEOUT_MS,
    ),
    methods,
    cores: { ghz: undefined, service: undefined, database: undefined },
    retries: 0,
    latenciesMs: [],
  });
  const part = (calls: number) => ({ callers: 64, statistics: loadOf(calls).statistics });
  const approval = loadOf(
    200,
    new Map([
      ['iep.v1.IEPService/UpdateIep', part(69)],
      ['iep.v1.IEPService/SubmitIep', part(70)],
    ]),
  );
  const creations = { database: 'postgresql', name: 'create-iep-cold', figures: [], load: loadOf(100) } as const;

  it('stands beside the creations of its run, call by call', () => {
    const figures = besideCreations(approval, [creations], false);
    expect(figures.map(({ name, ratio, kept }) => [name, ratio, kept])).toEqual([
      ['calls/s of UpdateIep to creations/s', 0.69, false],
      ['calls/s of SubmitIep to creations/s', 0.7, true],
    ]);
    expect(besideCreations(approval, [creations], true).map(({ kept }) => kept)).toEqual([undefined, undefined]);
  });

  it('has nothing to stand beside when the creations were invalid', () => {
    const invalid = { database: 'postgresql', name: 'create-iep-cold', invalid: 'no disk' } as const;
    expect(() => besideCreations(approval, [invalid], false)).toThrow(InvalidRun);
  });
});

describe("ghz's report", () => {
  const method = 'iep.v1.IEPService/CreateIep';
  const detail = { timestamp: '2026-01-02T03:04:05.123456789Z', latency: 12_500_000, status: 'OK', error: '' };

  function report(statusCodeDistribution: object, ...details: object[]): string {
    return JSON.stringify({ statusCodeDistribution, details });
  }

  it('has durations in nanoseconds, and the ends of the calls', () => {
    const calls = callsOf(report({ OK: 1 }, detail), { method, amount: { calls: 1 } });
    expect(calls).toEqual([{ status: 'OK', latencyMs: 12.5, endMs: Date.UTC(2026, 0, 2, 3, 4, 5, 123) }]);
  });

  it('may be about nothing but failures', () => {
    const calls = callsOf(report({ Unavailable: 1 }, { ...detail, status: 'Unavailable' }), {
      method,
      amount: { calls: 1 },
    });
    expect(calls.map(isSuccess)).toEqual([false]);
  });

  it('has as many calls as there were when it was time that was ordered', () => {
    expect(callsOf(report({ OK: 2 }, detail, detail), { method, amount: { seconds: 1 } })).toHaveLength(2);
  });

  it.each([
    ['is no JSON', 'ghz was here'],
    ['has no details', JSON.stringify({ statusCodeDistribution: {}, details: null })],
    ['lacks a call', report({ OK: 1 }, detail)],
    ['contradicts itself', report({ OK: 1, Unavailable: 1 }, detail, detail)],
  ])('makes the run invalid when it %s', (_, json) => {
    expect(() => callsOf(json, { method, amount: { calls: 2 } })).toThrow(InvalidRun);
  });
});
