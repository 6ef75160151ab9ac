import { describe, expect, it } from 'vitest';
import { inTurns, mediansInTurns, timesInTurns } from '../bench/probes/turns.ts';

const { signal } = new AbortController();

describe('turns', () => {
  it('give each subject its turn in every round', async () => {
    const order: string[] = [];
    const taken = await inTurns(['a', 'b'], [1, 2], async (subject, round) => {
      order.push(`${subject}${round}`);
      return [round];
    });
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2']);
    expect(taken).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it('time all calls but those of the warm-up, in blocks', async () => {
    const made: string[] = [];
    const action = (name: string) => async () => made.push(name);
    const times = await timesInTurns([action('a'), action('b'), action('c')], { calls: 30, warmUp: 10, signal });
    expect(times.map(({ length }) => length)).toEqual([30, 30, 30]);
    const blocks = made.filter((name, index) => name !== made[index - 1]);
    expect(blocks.join('')).toBe('abcabcabc');
    expect(made).toHaveLength(120);
  });

  it('tell the median of each side', async () => {
    const waiting = (ms: number) => async () => {
      const end = performance.now() + ms;
      while (performance.now() < end) {
        // A timer would be late.
      }
    };
    const { value, reference } = await mediansInTurns(waiting(4), waiting(1), { calls: 9, warmUp: 0, signal });
    expect(value).toBeGreaterThanOrEqual(4);
    expect(reference).toBeGreaterThanOrEqual(1);
    expect(reference).toBeLessThan(value);
  });
});
