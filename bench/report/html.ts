/** The outcomes as one page without anything to load: the tables, and each scenario's distribution of latencies. */
import { actualOf, requirementOf } from '../figure.ts';
import { isLoad, type LoadOutcome, type Outcome, stateOf } from '../outcome.ts';
import { histogramOf } from './histogram.ts';
import { histogramSvg, type Range } from './histogram-svg.ts';
import { type Table, tablesOf } from './tables.ts';

export function htmlReport(outcomes: readonly Outcome[], conditions: readonly string[]): string {
  const scenarios = [...Map.groupBy(outcomes.filter(isLoad), ({ name }) => name)];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Benchmarks of IEPService</title>
<style>${STYLE}</style>
<h1>Benchmarks of IEPService</h1>
<ul>${conditions.map((condition) => `<li>${escapeHtml(condition)}</li>`).join('')}</ul>
${tablesOf(outcomes).map(htmlTable).join('\n')}
${scenarios.map(([name, group]) => `<h2>${name}</h2>\n${group.map(figure(rangeOf(group))).join('\n')}`).join('\n')}
</html>
`;
}

function htmlTable({ title, columns, rows }: Table): string {
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`);
  return `<h2>${title}</h2>
<div class="wide"><table>
<thead><tr>${columns.map((column) => `<th>${column}</th>`).join('')}</tr></thead>
<tbody>${body.join('\n')}</tbody>
</table></div>`;
}

/** One scale for all databases of a scenario, so that their pictures can be compared. */
function rangeOf(outcomes: readonly LoadOutcome[]): Range {
  const bins = outcomes.flatMap(({ load }) => histogramOf(load.latenciesMs));
  return { fromMs: Math.min(...bins.map(({ fromMs }) => fromMs)), toMs: Math.max(...bins.map(({ toMs }) => toMs)) };
}

const figure =
  (range: Range) =>
  (outcome: LoadOutcome): string => {
    const state = stateOf(outcome);
    return `<figure><figcaption><b>${outcome.database}</b> <span class="${state}">${state}</span></figcaption>${distribution(outcome, range)}</figure>`;
  };

function distribution({ load, figures }: LoadOutcome, range: Range): string {
  const { p50Ms, p95Ms, p99Ms } = load.statistics;
  const svg = histogramSvg(histogramOf(load.latenciesMs), range, { p50: p50Ms, p95: p95Ms, p99: p99Ms });
  const items = figures.map((one) => {
    const text = escapeHtml(`${requirementOf(one)}: ${actualOf(one)}`);
    return one.kept === undefined
      ? `<li>${text}</li>`
      : `<li class="${one.kept ? 'kept' : 'missed'}">${one.kept ? '✓' : '✗'} ${text}</li>`;
  });
  return `${svg}<ul class="figures">${items.join('')}</ul>`;
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
.figures { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.kept { color: var(--kept); } .missed { color: var(--missed); }
`;
