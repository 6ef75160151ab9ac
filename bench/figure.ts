/** What was measured, held against a bar. Budgets, ratios and probes all end as figures. */

export interface Figure {
  readonly name: string;
  readonly measured: string;
  /** The other side of a ratio, or why there is none. */
  readonly reference?: string;
  readonly ratio?: number;
  readonly bar?: string;
  /** Undefined where there is no bar, or nothing to hold against it. */
  readonly kept: boolean | undefined;
}

const COMPARISONS = {
  '<': (value: number, bound: number) => value < bound,
  '<=': (value: number, bound: number) => value <= bound,
  '>': (value: number, bound: number) => value > bound,
  '>=': (value: number, bound: number) => value >= bound,
  '=': (value: number, bound: number) => value === bound,
};

/** Like `['<=', 3]`. */
export type Bar = readonly [keyof typeof COMPARISONS, number];
type Format = (value: number) => string;

function barText([comparison, bound]: Bar, format: Format): string {
  return `${comparison} ${format(bound)}`;
}

/** Not a number is within no bar. */
function isWithin(value: number, [comparison, bound]: Bar): boolean {
  return COMPARISONS[comparison](value, bound);
}

/** A value by itself. */
export function valueFigure(name: string, value: number, format: Format, bar?: Bar): Figure {
  return {
    name,
    measured: format(value),
    ...(bar && { bar: barText(bar, format) }),
    kept: bar && isWithin(value, bar),
  };
}

/** A value as a multiple of another one, which is what the bar is about. */
export function ratioFigure(
  name: string,
  { value, reference }: { readonly value: number; readonly reference: number },
  format: Format,
  bar?: Bar,
): Figure {
  const ratio = value / reference;
  return {
    name,
    measured: format(value),
    reference: format(reference),
    ratio,
    ...(bar && { bar: barText(bar, String) }),
    kept: bar && isWithin(ratio, bar),
  };
}

/** Like `p50 <= 3`. */
export function requirementOf({ name, bar }: Figure): string {
  return bar === undefined ? name : `${name} ${bar}`;
}

/** Like `15.0 ms / 5.00 ms = 3.00`. */
export function actualOf({ measured, reference, ratio }: Figure): string {
  if (reference === undefined) {
    return measured;
  }
  return ratio === undefined ? `${measured} (${reference})` : `${measured} / ${reference} = ${ratio.toFixed(2)}`;
}
