/** Load: as fast as answers come, or at a rate that does not wait for them. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Asked } from './ledger.ts';
import type { RawClient } from './raw-client.ts';
import { YEAR } from './samples.ts';

export interface Target {
  readonly client: RawClient;
  /** Their chains take turns. */
  readonly students: readonly string[];
  readonly timeoutMs: number;
}

async function ask({ client, students, timeoutMs }: Target, turn: number): Promise<Asked> {
  const requestId = randomUUID();
  const request = { studentId: students[turn % students.length]!, academicYear: YEAR, requestId, content: { turn } };
  return { requestId, answer: await client.createIep(request, { timeoutMs }) };
}

/** `callers` call again as soon as they are answered. */
export async function closedLoop(target: Target, callers: number, seconds: number): Promise<Asked[]> {
  const asked: Asked[] = [];
  const end = performance.now() + seconds * 1000;
  let turn = 0;
  async function caller(): Promise<void> {
    while (performance.now() < end) {
      asked.push(await ask(target, turn++));
    }
  }
  await Promise.all(Array.from({ length: callers }, caller));
  return asked;
}

/** Calls at `perSecond`, whatever becomes of them. */
export async function openLoop(target: Target, perSecond: number, seconds: number): Promise<Asked[]> {
  const calls: Promise<Asked>[] = [];
  const start = performance.now();
  for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - start) {
    const due = Math.floor((elapsed / 1000) * perSecond);
    while (calls.length < due) {
      calls.push(ask(target, calls.length));
    }
    await sleep(2);
  }
  return Promise.all(calls);
}

/** How many were answered OK and in time, per second, between `from` and `to` seconds after `start`. */
export function servedPerSecond(
  { timeoutMs }: Target,
  asked: readonly Asked[],
  start: number,
  [from, to]: readonly [number, number],
): number {
  const served = asked.filter(({ answer: { code, ms, answeredAt } }) => {
    const second = (answeredAt - start) / 1000;
    return code === 'OK' && ms <= timeoutMs && second >= from && second < to;
  });
  return Math.round(served.length / (to - from));
}
