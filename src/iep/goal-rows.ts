import { randomUUIDv7 } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/sql';
import { Goal } from '../persistence/entities.ts';
import type { DocumentCall } from './change-documents.ts';
import type { KeyedGoal } from './changed-paths.ts';
import type { GoalContent, IepDocument } from './iep-document.ts';

/** The goals of the versions that the calls of a unit of work are about, as rows, read when the first is changed. */
export function createGoalRows<Command>(em: EntityManager, calls: readonly DocumentCall<Command>[]) {
  let rowsByIep: Map<string, readonly Goal[]> | undefined;
  /** Versions whose goals this unit has changed. */
  const changed = new Set<string>();

  return {
    /**
     * Makes `goals` those of the version, in this order, and answers them. A goal whose key was there before keeps its row,
     * and its progress with it.
     */
    async replace({ iep, goals: before }: IepDocument, goals: readonly KeyedGoal[]): Promise<GoalContent[]> {
      const { id: iepId, districtId } = iep;
      rowsByIep ??= await findRows(em, calls);
      if (changed.has(iepId)) {
        // A flush inserts before it deletes, and a key that went may come again.
        await em.flush();
      }
      changed.add(iepId);
      const left = new Map(rowsByIep.get(iepId)?.map((row) => [row.goalKey, row]));
      const rows = goals.map((goal, position) => {
        const row = left.get(goal.goalKey);
        left.delete(goal.goalKey);
        const id = randomUUIDv7();
        return row === undefined
          ? em.create(Goal, { ...goal, districtId, id, iep, lineageId: id, position })
          : Object.assign(row, goal, { position });
      });
      left.forEach((row) => em.remove(row));
      rowsByIep.set(iepId, rows);
      const contents = new Map(before.map((goal) => [goal.goalKey, goal]));
      return goals.map((goal, index) => ({ ...contents.get(goal.goalKey), ...goal, id: rows[index]!.id }));
    },
  };
}

async function findRows<Command>(
  em: EntityManager,
  calls: readonly DocumentCall<Command>[],
): Promise<Map<string, readonly Goal[]>> {
  const byDistrict = [...Map.groupBy(calls, ({ chain }) => chain.districtId)];
  const alternatives = byDistrict.map(([districtId, group]) => ({
    districtId,
    iepId: { $in: group.map(({ command }) => command.iepId) },
  }));
  const rows = await em.find(Goal, { $or: alternatives });
  return Map.groupBy(rows, ({ iepId }) => iepId);
}
