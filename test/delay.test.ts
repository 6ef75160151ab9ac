import { expect, it } from 'vitest';
import { createPaceGauge } from '../src/persistence/delay.ts';

/** A gauge, and its clock. */
function stopwatch() {
  const clock = { ms: 0 };
  return { clock, pace: createPaceGauge(() => clock.ms) };
}

it('a pace is that of a hundred jobs, and grows old', () => {
  const { clock, pace } = stopwatch();
  clock.ms = 150;
  pace.note(99);
  expect(pace.read()).toBe(0);
  clock.ms = 200;
  pace.note(1);
  expect(pace.read()).toBe(2);
  clock.ms = 1200;
  expect(pace.read()).toBe(2);
  clock.ms = 1201;
  expect(pace.read()).toBe(0);
});

it('a pace leaves out the time in which there was nothing to do', () => {
  const { clock, pace } = stopwatch();
  clock.ms = 10_000;
  pace.begin();
  clock.ms = 10_100;
  pace.note(100);
  expect(pace.read()).toBe(1);
});
