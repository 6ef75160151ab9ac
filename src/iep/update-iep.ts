import { randomUUIDv7 } from 'node:crypto';
import type { Database } from '../persistence/database.ts';
import type { Iep } from '../persistence/entities.ts';
import type { Outcome, SharedWork, UnitOfWork } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { describeChange, recordChange } from './change.ts';
import { changeDocuments, type DocumentCall } from './change-documents.ts';
import { changedFields, changedGoals, type IepFields } from './changed-paths.ts';
import type { GoalDraft } from './iep-draft.ts';
import { Refusal, type Violation } from './errors.ts';
import { replaceGoals } from './goal-rows.ts';
import { requireChain } from './iep-chain.ts';
import type { IepDocument } from './iep-document.ts';
import { BASED_KINDS, usualKind } from './iep-kind.ts';
import { requireEditable } from './iep-status.ts';

/** What a save may change. */
interface Edit extends Omit<IepFields, 'kind'> {
  /** The usual one when undefined. */
  readonly kind: string | undefined;
  readonly goals: readonly GoalDraft[];
}

export interface UpdateIepCommand {
  readonly iepId: string;
  readonly etag: string;
  /** New values of the fields to change. */
  readonly fields: Partial<Edit>;
  /** Names of those fields in the contract. */
  readonly paths: readonly string[];
  readonly requestId: string | undefined;
}

/** Saves a draft, if it is still in the state that the etag stands for. */
export async function updateIep(db: Database, caller: Caller, command: UpdateIepCommand): Promise<IepDocument> {
  const change = describeChange(caller, 'UpdateIep', command);
  const chain = await requireChain(db, caller, command.iepId);
  const bytes = JSON.stringify(command.fields).length;
  return db.inChain(chain, caller, updateTogether, { chain, command, change, bytes }, bytes);
}

/** The saves of calls that share a unit of work. */
const updateTogether: SharedWork<DocumentCall<UpdateIepCommand>, IepDocument> = { run: updateAll };

async function updateAll(
  unit: UnitOfWork,
  calls: readonly DocumentCall<UpdateIepCommand>[],
): Promise<readonly Outcome<IepDocument>[]> {
  /** Versions whose goals this unit has changed. */
  const changed = new Set<string>();
  return changeDocuments(unit, calls, async (documents, { command, change }) => {
    const before = documents.get(command.iepId)!;
    const { iep } = before;
    requireEditable(iep);
    const fields = editedFields(iep, command.fields);
    const goals = command.fields.goals?.map((goal) => ({ ...goal, goalKey: goal.goalKey ?? randomUUIDv7() }));
    const changedPaths = [
      ...changedFields(iep, fields),
      ...(goals === undefined ? [] : changedGoals(before.goals, goals)),
    ];
    Object.assign(iep, fields, {
      revision: iep.revision + 1,
      rowVersion: iep.rowVersion + 1,
      updateTime: unit.now > iep.updateTime ? unit.now : iep.updateTime,
    });
    const { id: iepId, studentId, rowVersion, updateTime: time } = iep;
    const event = recordChange(unit, change, { studentId, iepId, rowVersion, changedPaths, time });
    if (goals === undefined) {
      return { document: before, events: [event] };
    }
    if (changed.has(iepId)) {
      // A flush inserts before it deletes, and a key that went may come again.
      await unit.flush();
    }
    changed.add(iepId);
    return { document: { iep, goals: await replaceGoals(unit, before, goals) }, events: [event] };
  });
}

/** The fields after the edit; refuses what they must not be together, or in a version that has a base. */
function editedFields(iep: Iep, edit: Partial<Edit>): IepFields {
  const { kind, content, meetingDate, effectiveDate, reviewDate } = { ...iep, ...edit };
  const keepsBase = BASED_KINDS.includes(iep.kind);
  const fields = {
    kind: kind ?? (keepsBase ? iep.kind : usualKind(iep.version)),
    content,
    meetingDate,
    effectiveDate,
    reviewDate,
  };
  const violations: Violation[] = [];
  if (fields.kind !== iep.kind && keepsBase) {
    violations.push({ field: 'iep.kind', description: `must stay ${iep.kind}` });
  } else if (fields.kind !== iep.kind && BASED_KINDS.includes(fields.kind)) {
    violations.push({ field: 'iep.kind', description: `must not become ${fields.kind}: create a version with a base` });
  }
  if (reviewDate !== iep.reviewDate && keepsBase) {
    const kept = iep.reviewDate ?? 'empty';
    violations.push({
      field: 'iep.review_date',
      description: `must stay ${kept}: an ${iep.kind} keeps that of its base`,
    });
  } else if (reviewDate && effectiveDate && reviewDate < effectiveDate) {
    violations.push(
      edit.reviewDate === undefined
        ? { field: 'iep.effective_date', description: `must not lie after review_date, which is ${reviewDate}` }
        : { field: 'iep.review_date', description: `must not lie before effective_date, which is ${effectiveDate}` },
    );
  }
  if (violations.length > 0) {
    throw new Refusal('INVALID_FIELD', { violations });
  }
  return fields;
}
