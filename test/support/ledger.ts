/** What callers were told, held against what is stored. */
import { expect } from 'vitest';
import type { Answer } from './raw-client.ts';
import type { TestDatabase } from './sql.ts';

export interface Asked {
  readonly requestId: string;
  readonly answer: Answer;
}

/** What a caller may be told under pressure, and what it says of the row. */
const ANSWERS: Record<string, 'stored' | 'not stored' | 'either'> = {
  'OK/yes': 'stored',
  'DEADLINE_EXCEEDED/NOT_EXECUTED/no': 'not stored',
  'RESOURCE_EXHAUSTED/OVERLOADED/no': 'not stored',
  'DEADLINE_EXCEEDED/OUTCOME_UNKNOWN/unknown': 'either',
  // The transport's own, which knows nothing of the row.
  DEADLINE_EXCEEDED: 'either',
  CANCELLED: 'either',
};

const nameOf = ({ code, reason, committed }: Answer) => [code, reason, committed].filter(Boolean).join('/');

/** How many got which answer. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  answers.forEach((answer) => (counts[nameOf(answer)] = (counts[nameOf(answer)] ?? 0) + 1));
  return counts;
}

/** Every caller was told the truth, and nobody was told anything that overload and deadlines do not explain. */
export async function expectTruth(database: TestDatabase, asked: readonly Asked[]): Promise<void> {
  expect(Object.keys(ANSWERS)).toEqual(expect.arrayContaining(Object.keys(tally(asked.map(({ answer }) => answer)))));
  const rows = await database.query(`
    select events.request_id, ieps.id, ieps.version from events
    join ieps on ieps.district_id = events.district_id and ieps.id = events.iep_id where events.request_id is not null`);
  const stored = new Map(rows.map((row) => [row['request_id'], row]));
  const untrue = asked.filter(({ requestId, answer }) => {
    const row = stored.get(requestId);
    switch (ANSWERS[nameOf(answer)]) {
      case 'stored':
        return row?.['id'] !== answer.iep?.id || row?.['version'] !== answer.iep?.version;
      case 'not stored':
        return row !== undefined;
      default:
        return false;
    }
  });
  expect(untrue).toEqual([]);
}
