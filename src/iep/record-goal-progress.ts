import type { Database } from '../persistence/database.ts';
import { type ChangeEvent, ProgressNote } from '../persistence/entities.ts';
import type { Outcome, SharedWork, UnitOfWork } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { type Change, describeChange, earlierOf, findEarlier, recordChange } from './change.ts';
import { Refusal } from './errors.ts';
import { findGoals, type GoalPlace, type PlacedGoal } from './find-goals.ts';
import { requireChain } from './iep-chain.ts';
import type { GoalContent } from './iep-document.ts';

export interface RecordGoalProgressCommand {
  readonly iepId: string;
  readonly goalKey: string;
  /** As it was when absent. */
  readonly progressStatus: string | undefined;
  /** Empty = none. */
  readonly note: string;
  readonly requestId: string | undefined;
}

interface Recording {
  readonly place: GoalPlace;
  readonly command: RecordGoalProgressCommand;
  readonly change: Change;
}

/** Adds a note to a goal, and answers the goal with it. */
export async function recordGoalProgress(
  db: Database,
  caller: Caller,
  command: RecordGoalProgressCommand,
): Promise<GoalContent> {
  const { districtId } = caller;
  const { iepId, goalKey, note } = command;
  const change = describeChange(caller, 'RecordGoalProgress', command);
  const chain = await requireChain(db, caller, iepId);
  const recording = { place: { districtId, iepId, goalKey }, command, change };
  return db.inChain(chain, caller, recordTogether, recording, note.length);
}

/** The notes of calls that share a unit of work, in their order. A refused one does not hold the others up. */
const recordTogether: SharedWork<Recording, GoalContent> = { run: recordAll };

async function recordAll(unit: UnitOfWork, recordings: readonly Recording[]): Promise<readonly Outcome<GoalContent>[]> {
  const places = recordings.map(({ place }) => place);
  const events = await findEarlier(
    unit,
    recordings.map(({ change }) => change),
  );
  const targets = await findGoals(unit, places);
  const refusals = new Map<Recording, Refusal>();
  for (const [index, recording] of recordings.entries()) {
    try {
      if (earlierOf(events, recording.change).length === 0) {
        events.push(addNote(unit, recording, targets[index]!));
      }
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      refusals.set(recording, error);
    }
  }
  // The database gives the notes their order.
  await unit.flush();
  const goals = (await findGoals(unit, places)).map(({ goal }) => goal);
  return recordings.map((recording, index) => {
    const goal = goals[index];
    // A draft may have lost the goal since the call was first made.
    const refusal = refusals.get(recording) ?? new Refusal('GOAL_NOT_FOUND', recording.place);
    return goal === undefined || refusals.has(recording) ? { refusal } : { value: goal };
  });
}

/** The chain is locked, so the version keeps its status, and the goal its lineage. A note has the id of its event. */
function addNote(unit: UnitOfWork, { place, command, change }: Recording, target: PlacedGoal): ChangeEvent {
  const { studentId, status, rowVersion, goal } = target;
  if (status === 'DISCARDED') {
    throw new Refusal('CONTENT_FROZEN', { status });
  }
  if (goal === undefined) {
    throw new Refusal('GOAL_NOT_FOUND', place);
  }
  const { districtId, iepId, goalKey } = place;
  const changedPaths = [`/goals/${goalKey}/progress`];
  const event = recordChange(unit, change, { studentId, iepId, rowVersion, changedPaths, time: unit.now });
  unit.append(ProgressNote, {
    districtId,
    id: event.id,
    lineageId: goal.lineageId,
    iepId,
    status: command.progressStatus ?? null,
    note: command.note,
    recordedBy: change.caller.principal,
    recordTime: unit.now,
  });
  return event;
}
