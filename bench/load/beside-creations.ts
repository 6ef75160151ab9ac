/** The calls of the approval flow beside creations on many chains, of the same run on the same service. */
import { type Bar, type Figure, ratioFigure } from '../figure.ts';
import { formatRate } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';
import { isLoad, type Outcome } from '../outcome.ts';
import type { Load } from './measure.ts';

const BAR: Bar = ['>=', 0.7];

/** `outcomes` are those of the run so far. Throws an InvalidRun when the creations are not among them. */
export function besideCreations({ methods }: Load, outcomes: readonly Outcome[], quick: boolean): Figure[] {
  const creations = outcomes.filter(isLoad).find(({ name }) => name === 'create-iep-cold');
  if (creations === undefined) {
    throw new InvalidRun('create-iep-cold has no figures to stand beside');
  }
  const reference = creations.load.statistics.callsPerSecond;
  return [...methods].map(([method, { statistics }]) =>
    ratioFigure(
      `calls/s of ${method.replace(/^.*\//, '')} to creations/s`,
      { value: statistics.callsPerSecond, reference },
      formatRate,
      // A quick run tells too little to be held to.
      quick ? undefined : BAR,
    ),
  );
}
