/** The outcomes as one page without anything to load: the table, and each scenario's distribution of latencies. */
import { histogramOf } from './histogram.ts';
import { histogramSvg, type Range } from './histogram-svg.ts';
import type { Measurement } from './measure.ts';
import { isKept, type Outcome, verdictOf } from './outcome.ts';
import { COLUMNS, tableRows } from './report-markdown.ts';

export function htmlReport(outcomes: readonly Outcome[], conditions: readonly string[]): string {
  const rows = tableRows(outcomes).map(
    (cells) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`,
  );
  const scenarios = [...Map.groupBy(outcomes, ({ scenario }) => scenario)];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Benchmarks of IEPService</title>
<style>${STYLE}</style>
<h1>Benchmarks of IEPService</h1>
<ul>${conditions.map((condition) => `<li>${escapeHtml(condition)}</li>`).join('')}</ul>
<div class="wide"><table>
<thead><tr>${COLUMNS.map((column) => `<th>${column}</th>`).join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>
${scenarios.map(([scenario, group]) => `<h2>${scenario}</h2>\n${group.map(figure(rangeOf(group))).join('\n')}`).join('\n')}
</html>
`;
}

/** One scale for all databases of a scenario, so that their pictures can be compared. */
function rangeOf(outcomes: readonly Outcome[]): Range {
  const bins = outcomes.flatMap((outcome) => ('invalid' in outcome ? [] : histogramOf(outcome.latenciesMs)));
  return { fromMs: Math.min(...bins.map(({ fromMs }) => fromMs)), toMs: Math.max(...bins.map(({ toMs }) => toMs)) };
}

const figure =
  (range: Range) =>
  (outcome: Outcome): string => {
    const state = 'invalid' in outcome ? 'invalid' : isKept(outcome) ? 'kept' : 'missed';
    const body =
      'invalid' in outcome ? `<p class="invalid">${escapeHtml(verdictOf(outcome))}</p>` : distribution(outcome, range);
    return `<figure><figcaption><b>${outcome.database}</b> <span class="${state}">${state}</span></figcaption>${body}</figure>`;
  };

function distribution({ latenciesMs, statistics, assertions }: Measurement, range: Range): string {
  const { p50Ms, p95Ms, p99Ms } = statistics;
  const svg = histogramSvg(histogramOf(latenciesMs), range, { p50: p50Ms, p95: p95Ms, p99: p99Ms });
  const items = assertions.map(
    ({ requirement, actual, kept }) =>
      `<li class="${kept ? 'kept' : 'missed'}">${kept ? '✓' : '✗'} ${escapeHtml(`${requirement}: ${actual}`)}</li>`,
  );
  return `${svg}<ul class="assertions">${items.join('')}</ul>`;
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]!);
}

const STYLE = `
:root { color-scheme: light dark; --bar: light-dark(#3b6fb6, #7fb0ee); --line: light-dark(#c8ccd2, #464b53);
  --mark: light-dark(#a2410b, #ffab70); --kept: light-dark(#1a7431, #6fd08c); --missed: light-dark(#b3261e, #ff8a80); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 80rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2), th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; min-width: 12rem; }
figure { margin: 1rem 0 2rem; }
svg { width: 100%; max-width: 60rem; height: auto; }
svg text { fill: currentColor; font-size: 11px; }
.bar { fill: var(--bar); } .axis { stroke: var(--line); } .mark { stroke: var(--mark); stroke-dasharray: 3 2; }
svg text.label { fill: var(--mark); }
.assertions { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.kept { color: var(--kept); } .missed, .invalid { color: var(--missed); }
`;
