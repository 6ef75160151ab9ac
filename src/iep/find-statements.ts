import type { Iep } from '../persistence/entities.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import { type GoalColumns, goalWordsColumn } from './iep-document.ts';

/** What the authors of a version say, and nothing else of it. */
export interface Statement {
  readonly iep: Pick<Iep, 'content' | 'meetingDate' | 'effectiveDate' | 'reviewDate'>;
  readonly goals: readonly GoalColumns[];
}

/** That of a version that is kept. */
export interface FoundStatement extends Statement {
  readonly iep: Statement['iep'] & Pick<Iep, 'id' | 'studentId'>;
}

interface Row {
  readonly id: string;
  readonly student_id: string;
  readonly content: string;
  readonly meeting_date: string | null;
  readonly effective_date: string | null;
  readonly review_date: string | null;
  readonly goals: string | null;
}

const asText = (column: string) => `cast(${column} as text) as ${column}`;

/**
 * Reads those of the district's versions that have these ids, in any order. For readers who do without progress and
 * entities: an entity is made with a copy of its content as text, which takes as long as all the rest.
 */
export async function findStatements(
  { em, sql }: Reader,
  districtId: string,
  iepIds: readonly string[],
): Promise<FoundStatement[]> {
  const columns = ['content', 'meeting_date', 'effective_date', 'review_date'].map(asText).join(', ');
  const rows = await em.execute<Row[]>(
    `select id, student_id, ${columns}, ${goalWordsColumn(sql)}
     from ieps where district_id = ? and id in (${iepIds.map(() => '?').join()})`,
    [districtId, ...iepIds],
  );
  return rows.map((row) => ({
    iep: {
      id: row.id,
      studentId: row.student_id,
      content: JSON.parse(row.content) as Record<string, unknown>,
      meetingDate: row.meeting_date,
      effectiveDate: row.effective_date,
      reviewDate: row.review_date,
    },
    goals: JSON.parse(row.goals ?? '[]') as GoalColumns[],
  }));
}
