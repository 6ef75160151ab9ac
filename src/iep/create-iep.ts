import { randomUUIDv7 } from 'node:crypto';
import type { Database } from '../persistence/database.ts';
import type { Chain } from '../persistence/dialects.ts';
import { Goal, Iep } from '../persistence/entities.ts';
import { type Allocation, allocateVersion } from './allocate-version.ts';
import type { Caller } from './caller.ts';
import { describeChange, findEarlier, recordChange } from './change.ts';
import { Refusal } from './errors.ts';
import { type GoalContent, type IepDocument, requireIep } from './find-ieps.ts';

export interface GoalDraft {
  /** Assigned when absent. */
  readonly goalKey: string | undefined;
  readonly domain: string | null;
  readonly goalText: string;
  readonly baseline: string;
  readonly targetCriteria: string;
  readonly measurementMethod: string;
  readonly measurementFrequency: string | null;
  readonly startDate: string | null;
  readonly targetDate: string | null;
}

export interface CreateIepCommand {
  readonly studentId: string;
  readonly academicYear: string;
  /** INITIAL for version 1 and ANNUAL otherwise when absent. */
  readonly kind: string | undefined;
  readonly content: Record<string, unknown>;
  readonly goals: readonly GoalDraft[];
  readonly meetingDate: string | null;
  readonly effectiveDate: string | null;
  readonly reviewDate: string | null;
  /** 0 = "none yet"; absent = any. */
  readonly expectedLatestVersion: number | undefined;
  readonly requestId: string | undefined;
}

/** Creates the next version of the chain as a DRAFT. Two calls never get one version, and none is skipped. */
export async function createIep(db: Database, caller: Caller, command: CreateIepCommand): Promise<IepDocument> {
  const chain = chainOf(caller, command);
  const change = describeChange('CreateIep', command);
  const lane = `${chain.districtId}:${chain.studentId}:${chain.academicYear}`;
  return db.unitOfWork(lane, caller, async (unit) => {
    const now = await unit.lockChain(chain);
    const [earlier] = await findEarlier(unit, caller, change);
    if (earlier !== undefined) {
      return requireIep(unit.em, caller.districtId, earlier.iepId!);
    }
    const allocation = await allocateVersion(unit.em, chain, now);
    requireLatest(command, allocation);
    const iep = unit.em.create(Iep, { ...draft(caller, command, allocation), id: randomUUIDv7() });
    const goals = command.goals.map((goal, position) =>
      unit.em.create(Goal, {
        ...goal,
        districtId: caller.districtId,
        id: randomUUIDv7(),
        iep,
        position,
        goalKey: goal.goalKey ?? randomUUIDv7(),
      }),
    );
    recordChange(unit, caller, change, {
      studentId: iep.studentId,
      iepId: iep.id,
      toStatus: iep.status,
      rowVersion: iep.rowVersion,
      time: iep.createTime,
    });
    return { iep, goals };
  });
}

/** What createIep would answer now, without ids. Takes no lock and writes nothing. */
export async function previewIep(db: Database, caller: Caller, command: CreateIepCommand): Promise<IepDocument> {
  return db.read(caller, async ({ em }) => {
    const allocation = await allocateVersion(em, chainOf(caller, command), new Date());
    requireLatest(command, allocation);
    const goals = command.goals.map((goal): GoalContent => ({ ...goal, id: '', goalKey: goal.goalKey ?? '' }));
    return { iep: { ...draft(caller, command, allocation), id: '' }, goals };
  });
}

function chainOf(caller: Caller, { studentId, academicYear }: CreateIepCommand): Chain {
  return { districtId: caller.districtId, studentId, academicYear };
}

function requireLatest({ expectedLatestVersion: expected }: CreateIepCommand, { version }: Allocation): void {
  const actual = version - 1;
  if (expected !== undefined && expected !== actual) {
    throw new Refusal('VERSION_MISMATCH', { expected, actual });
  }
}

function draft(caller: Caller, command: CreateIepCommand, allocation: Allocation): Omit<Iep, 'id'> {
  return {
    districtId: caller.districtId,
    studentId: command.studentId,
    academicYear: command.academicYear,
    version: allocation.version,
    parentVersionId: allocation.parentVersionId,
    kind: command.kind ?? (allocation.version === 1 ? 'INITIAL' : 'ANNUAL'),
    status: 'DRAFT',
    content: command.content,
    meetingDate: command.meetingDate,
    effectiveDate: command.effectiveDate,
    reviewDate: command.reviewDate,
    createdBy: caller.principal,
    createTime: allocation.createTime,
    updateTime: allocation.createTime,
    revision: 1,
    rowVersion: 1,
  };
}
