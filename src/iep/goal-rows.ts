import { randomUUIDv7 } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/sql';
import { Goal } from '../persistence/entities.ts';
import { changedGoal, type KeyedGoal } from './changed-paths.ts';
import type { GoalContent, IepDocument } from './iep-document.ts';

/**
 * Makes `goals` those of the version, in this order, and answers them. A goal whose key was there before keeps its row, and
 * its progress with it; a row that stays as it is is not touched.
 */
export function replaceGoals(
  em: EntityManager,
  { iep, goals: before }: IepDocument,
  goals: readonly KeyedGoal[],
): GoalContent[] {
  const { districtId } = iep;
  const left = new Map(before.map((goal, position) => [goal.goalKey, { goal, position }]));
  const after = goals.map((goal, position): GoalContent => {
    const kept = left.get(goal.goalKey);
    left.delete(goal.goalKey);
    if (kept === undefined) {
      const id = randomUUIDv7();
      em.create(Goal, { ...goal, districtId, id, iep, lineageId: id, position });
      return { ...goal, id };
    }
    if (kept.position !== position || changedGoal(kept.goal, goal).length > 0) {
      const row = em.merge(Goal, { ...kept.goal, districtId, iep, position: kept.position });
      Object.assign(row, goal, { position });
    }
    return { ...kept.goal, ...goal };
  });
  left.forEach(({ goal }) => em.remove(em.getReference(Goal, [districtId, goal.id])));
  return after;
}
