import type { Reader } from '../persistence/unit-of-work.ts';
import { type GoalContent, goalsColumn, goalsOf } from './iep-document.ts';

export interface GoalPlace {
  readonly districtId: string;
  readonly iepId: string;
  readonly goalKey: string;
}

/** A goal with the version that it is read in. */
export interface PlacedGoal {
  readonly studentId: string;
  readonly status: string;
  readonly rowVersion: number;
  /** Undefined when the version has no such goal. */
  readonly goal: GoalContent | undefined;
}

interface Row {
  readonly id: string;
  readonly student_id: string;
  readonly status: string;
  readonly row_version: number;
  readonly goals: string | null;
}

/** Reads goals of versions that are there, in the order of their places. */
export async function findGoals({ em, sql }: Reader, places: readonly GoalPlace[]): Promise<PlacedGoal[]> {
  const found = new Map<string, { row: Row; goals: GoalContent[] }>();
  for (const [districtId, own] of Map.groupBy(places, (place) => place.districtId)) {
    const [keys, ids] = [[...new Set(own.map(({ goalKey }) => goalKey))], [...new Set(own.map(({ iepId }) => iepId))]];
    const rows = await em.execute<Row[]>(
      `select id, student_id, status, row_version, ${goalsColumn(sql, `goal_key in (${keys.map(() => '?').join()})`)}
       from ieps where district_id = ? and id in (${ids.map(() => '?').join()})`,
      [...keys, districtId, ...ids],
    );
    rows.forEach((row) => found.set(`${districtId}:${row.id}`, { row, goals: goalsOf(row.goals) }));
  }
  return places.map(({ districtId, iepId, goalKey }) => {
    const { row, goals } = found.get(`${districtId}:${iepId}`)!;
    return {
      studentId: row.student_id,
      status: row.status,
      rowVersion: row.row_version,
      goal: goals.find((goal) => goal.goalKey === goalKey),
    };
  });
}
