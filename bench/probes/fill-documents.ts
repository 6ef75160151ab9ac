/** Gives filled versions what a document has, so that reading them is as much work as reading any. */
import type { TestDatabase } from '../../test/support/sql.ts';
import { creationTemplate } from '../load/chains.ts';

interface GoalTemplate extends Record<string, string> {
  readonly domain: string;
  readonly measurement_frequency: string;
}

const TEXTS = ['goal_key', 'goal_text', 'baseline', 'target_criteria', 'measurement_method'] as const;
const DATES = ['start_date', 'target_date'] as const;

/** The content and the goals that create-iep-cold sends, for every version in this status. */
export async function fillDocuments(database: TestDatabase, status: string): Promise<void> {
  const { content, goals } = await creationTemplate();
  await database.query('set session_replication_role = replica');
  await database.query('update ieps set content = cast(? as json) where status = ?', JSON.stringify(content), status);
  for (const [position, goal] of (goals as GoalTemplate[]).entries()) {
    await database.query(
      `insert into goals (district_id, id, lineage_id, iep_id, position, domain, measurement_frequency,
        ${[...TEXTS, ...DATES].join(', ')})
      select district_id, goal_id, goal_id, id, cast(? as integer), ?, ?,
        ${[...TEXTS.map(() => '?'), ...DATES.map(() => 'cast(? as date)')].join(', ')}
      from (select district_id, id, gen_random_uuid() as goal_id from ieps where status = ? offset 0) as filled`,
      position,
      goal.domain.replace('GOAL_DOMAIN_', ''),
      goal.measurement_frequency.replace('MEASUREMENT_FREQUENCY_', ''),
      ...[...TEXTS, ...DATES].map((column) => goal[column]),
      status,
    );
  }
  await database.query('set session_replication_role = origin');
}
