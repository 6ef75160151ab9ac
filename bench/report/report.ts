/** Writes the outcomes for people: a table, and a page with the distributions. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import path from 'node:path';
import type { Outcome } from '../outcome.ts';
import { htmlReport } from './html.ts';
import { markdownReport } from './markdown.ts';

const RESULTS = path.join(import.meta.dirname, '../results');

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
    'Load is a closed loop: each caller waits for its answer before it calls again, so that queueing before a call does not show. The calls of the victim probe are an open loop of 50 creations and 50 reads per second.',
    'A failed call counts as slow as its deadline. "Of ceiling" compares the calls per second with those of the health check.',
    'Cores are averages over the run; the work of SQLite is part of the service.',
    '"postgresql" flushes as fast as its disk does, "postgresql-1ms" waits 1 ms before each flush (commit_delay = 1000, commit_siblings = 0).',
    'The floor is the transaction of an ORM (begin, advisory lock, read of the head, insert of a document of the same size, commit) by pgbench over TCP, one statement at a time (-M extended), right after the scenario on the same server. Hot is one chain, cold 10,000 students at random.',
    'The creations that stand beside the floor carry no request_id: the floor knows none, and ghz spends as much on a template as the service on a creation.',
    'Approval: each call changes a document of its own, a draft that was there before; UpdateIep replaces its content, SubmitIep and ApproveIep go on with the same documents, one method after the other.',
    'Commit to event is the time from the one that the change bears, which its unit of work took before it wrote, to the arrival at each watcher. The watchers are gRPC clients with a connection each, in a process of their own on the same cores, which leave the messages as bytes. With them and without are turns of a few seconds, and the medians stand against each other.',
    'Reviews due are asked for by one caller at a time; the time ends with the last byte, before the answer is decoded. What is listed has the content and the goals of create-iep-cold. The health check in the same turns is what the machine takes for any call.',
    'Memory is flat when the mean of the samples of the last quarter of the time is at most 1.1 times that of the second quarter.',
  ];
}
