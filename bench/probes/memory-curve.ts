/** What a row of samples, evenly spaced in time, says of memory. */

export interface MemoryCurve {
  readonly at25: number;
  readonly at50: number;
  readonly at75: number;
  readonly atEnd: number;
  readonly peak: number;
  /** Means of a quarter of the samples. */
  readonly secondQuarter: number;
  readonly lastQuarter: number;
}

/** Undefined when there are too few samples to have quarters. */
export function curveOf(samples: readonly number[]): MemoryCurve | undefined {
  if (samples.length < 4) {
    return undefined;
  }
  const last = samples.length - 1;
  const at = (share: number) => samples[Math.round(last * share)]!;
  const quarter = (number: number) => {
    const part = samples.slice(
      Math.floor((samples.length * (number - 1)) / 4),
      Math.floor((samples.length * number) / 4),
    );
    return part.reduce((sum, sample) => sum + sample, 0) / part.length;
  };
  return {
    at25: at(0.25),
    at50: at(0.5),
    at75: at(0.75),
    atEnd: at(1),
    peak: Math.max(...samples),
    secondQuarter: quarter(2),
    lastQuarter: quarter(4),
  };
}
