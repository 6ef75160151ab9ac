/** Figures and errors for people. */

/** Three significant digits, whole milliseconds from 100 on. */
export function formatMs(ms: number): string {
  return `${formatFigure(ms)} ms`;
}

export function formatFigure(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}

/** Never rounded up to 100 %: one failed call in a million must show. */
export function formatShare(share: number): string {
  return `${share < 1 ? Math.floor(share * 100_000) / 1000 : 100} %`;
}

export function formatRate(callsPerSecond: number): string {
  return Math.round(callsPerSecond).toLocaleString('en-US');
}

export function formatMegabytes(megabytes: number): string {
  return `${formatFigure(megabytes)} MB`;
}

/** Undefined where it cannot be told. */
export function formatCores(cores: number | undefined): string {
  return cores === undefined ? '-' : cores.toFixed(2);
}

/** An AggregateError, as of a refused connection to a name with several addresses, has no message of its own. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((one) => messageOf(one)).join('; ');
  }
  return error instanceof Error ? error.message.trim() || error.name : String(error);
}
