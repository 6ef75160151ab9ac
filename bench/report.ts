/** Writes the outcomes for people: a table, and a page with the distributions. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import type { Outcome } from './outcome.ts';
import { htmlReport } from './report-html.ts';
import { markdownReport } from './report-markdown.ts';

const RESULTS = path.join(import.meta.dirname, 'results');

/** Answers where the table is. */
export async function writeReport(outcomes: readonly Outcome[], quick: boolean): Promise<string> {
  const conditions = conditionsOf(quick);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(path.join(RESULTS, 'report.html'), htmlReport(outcomes, conditions));
  const table = path.join(RESULTS, 'report.md');
  await writeFile(table, markdownReport(outcomes, conditions));
  return path.relative(process.cwd(), table);
}

/** Under which conditions the figures came about, a sentence each. */
function conditionsOf(quick: boolean): string[] {
  const model = cpus()[0]?.model ?? 'unknown processor';
  return [
    `${new Date().toISOString().slice(0, 16)}Z, ${quick ? 'quick' : 'full'} run, Node ${process.version}, ${availableParallelism()} cores (${model}) shared by ghz, service and database.`,
    'Closed loop: each caller waits for its answer before it calls again, so that queueing before a call does not show.',
    'A failed call counts as slow as its deadline. "Of ceiling" compares the calls per second with those of the health check.',
    'Cores are averages over the run; the work of SQLite is part of the service.',
  ];
}
