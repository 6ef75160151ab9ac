import { randomUUIDv7 } from 'node:crypto';
import { Goal } from '../persistence/entities.ts';
import type { UnitOfWork } from '../persistence/unit-of-work.ts';
import { changedGoal, type KeyedGoal } from './changed-paths.ts';
import { NO_PROGRESS } from './goal-progress.ts';
import { findIeps, type GoalContent, type IepDocument } from './iep-document.ts';

/**
 * Makes `goals` those of the version, in this order, and answers them. A goal whose key was there before keeps its row, and
 * its progress with it; a row that stays as it is is not touched. One whose key the base has is of the base's lineage.
 */
export async function replaceGoals(
  unit: UnitOfWork,
  { iep, goals: before }: IepDocument,
  goals: readonly KeyedGoal[],
): Promise<GoalContent[]> {
  const { em } = unit;
  const { districtId, basedOnIepId } = iep;
  const left = new Map(before.map((goal, position) => [goal.goalKey, { goal, position }]));
  const comesAnew = goals.some(({ goalKey }) => !left.has(goalKey));
  const [base] = comesAnew && basedOnIepId ? await findIeps(unit, districtId, [basedOnIepId]) : [];
  const ofBase = new Map(base?.goals.map((goal) => [goal.goalKey, goal]));
  const after = goals.map((goal, position): GoalContent => {
    const kept = left.get(goal.goalKey);
    left.delete(goal.goalKey);
    if (kept === undefined) {
      const id = randomUUIDv7();
      const { lineageId, progressStatus, progress } = ofBase.get(goal.goalKey) ?? { lineageId: id, ...NO_PROGRESS };
      unit.append(Goal, { ...goal, districtId, id, iepId: iep.id, lineageId, position });
      return { ...goal, id, lineageId, progressStatus, progress };
    }
    if (kept.position !== position || changedGoal(kept.goal, goal).length > 0) {
      const { progress: _progress, progressStatus: _status, ...columns } = kept.goal;
      const row = em.merge(Goal, { ...columns, districtId, iepId: iep.id, position: kept.position });
      Object.assign(row, goal, { position });
    }
    return { ...kept.goal, ...goal };
  });
  left.forEach(({ goal }) => em.remove(em.getReference(Goal, [districtId, goal.id])));
  return after;
}
