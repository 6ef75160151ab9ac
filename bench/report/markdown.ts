/** The outcomes as markdown tables. */
import type { Outcome } from '../outcome.ts';
import { type Table, tablesOf } from './tables.ts';

export function markdownReport(outcomes: readonly Outcome[], conditions: readonly string[]): string {
  const tables = tablesOf(outcomes).map(markdownTable);
  return `# Benchmarks\n\n${conditions.map((condition) => `- ${condition}`).join('\n')}\n\n${tables.join('\n')}`;
}

function markdownTable({ title, columns, rows }: Table): string {
  const rule = columns.map((_, index) => (index < 2 || index === columns.length - 1 ? '---' : '---:'));
  const lines = [columns, rule, ...rows].map((cells) => `| ${cells.map(escape).join(' | ')} |`);
  return `## ${title}\n\n${lines.join('\n')}\n`;
}

/** A cell of a table may hold neither its border nor a line break. */
function escape(cell: string): string {
  return cell.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ');
}
