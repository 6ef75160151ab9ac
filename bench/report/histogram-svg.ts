/** Draws a histogram over a logarithmic axis as inline SVG; its colours are the page's classes. */
import { formatMs } from '../format.ts';
import type { Bin } from './histogram.ts';

export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

const WIDTH = 960;
const MARKS_HEIGHT = 42;
const BARS_HEIGHT = 150;
const AXIS_HEIGHT = 20;
const HEIGHT = MARKS_HEIGHT + BARS_HEIGHT + AXIS_HEIGHT;
const BASELINE = MARKS_HEIGHT + BARS_HEIGHT;

/** `marks` are latencies to point out, by name. */
export function histogramSvg(bins: readonly Bin[], range: Range, marks: Readonly<Record<string, number>>): string {
  const x = (ms: number) => (WIDTH * Math.log(ms / range.fromMs)) / Math.log(range.toMs / range.fromMs);
  const highest = Math.max(...bins.map(({ count }) => count));
  const bars = bins.map(({ fromMs, toMs, count }) => {
    const height = (BARS_HEIGHT * count) / highest;
    const title = `${formatMs(fromMs)} to ${formatMs(toMs)}: ${count}`;
    return `<rect class="bar" x="${x(fromMs).toFixed(1)}" y="${(BASELINE - height).toFixed(1)}" width="${(x(toMs) - x(fromMs) - 1).toFixed(1)}" height="${height.toFixed(1)}"><title>${title}</title></rect>`;
  });
  const ticks = ticksOf(range).map(
    (ms) =>
      `<line class="axis" x1="${x(ms).toFixed(1)}" x2="${x(ms).toFixed(1)}" y1="${BASELINE}" y2="${BASELINE + 5}"/>` +
      text(x(ms), HEIGHT - 2, `${ms} ms`),
  );
  // Each on a line of its own: percentiles of a fast scenario lie close together.
  const markers = Object.entries(marks).map(([name, ms], index) => {
    const top = 12 + 13 * index;
    return (
      `<line class="mark" x1="${x(ms).toFixed(1)}" x2="${x(ms).toFixed(1)}" y1="${top + 2}" y2="${BASELINE}"/>` +
      text(x(ms), top, `${name} ${formatMs(ms)}`, 'label')
    );
  });
  const axis = `<line class="axis" x1="0" x2="${WIDTH}" y1="${BASELINE}" y2="${BASELINE}"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Distribution of latencies">${bars.join('')}${axis}${ticks.join('')}${markers.join('')}</svg>`;
}

/** 1, 2 and 5 of each decade. */
function ticksOf({ fromMs, toMs }: Range): number[] {
  const decades = Array.from({ length: 12 }, (_, index) => index - 4);
  return decades
    .flatMap((decade) => [1, 2, 5].map((step) => Number(`${step}e${decade}`)))
    .filter((ms) => ms >= fromMs && ms <= toMs);
}

/** Kept inside the picture at both ends. */
function text(x: number, y: number, content: string, className = 'tick'): string {
  const anchor = x < WIDTH * 0.06 ? 'start' : x > WIDTH * 0.94 ? 'end' : 'middle';
  return `<text class="${className}" x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}
