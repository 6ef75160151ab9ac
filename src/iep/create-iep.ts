import { randomUUIDv7 } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/sql';
import type { Database } from '../persistence/database.ts';
import type { Chain } from '../persistence/dialects/dialect.ts';
import { type ChangeEvent, Goal, Iep } from '../persistence/entities.ts';
import type { Outcome, UnitOfWork } from '../persistence/unit-of-work.ts';
import { type Allocation, readHeads } from './allocate-version.ts';
import type { Caller } from './caller.ts';
import { type Change, describeChange, earlierOf, findEarlier, recordChange } from './change.ts';
import { Refusal } from './errors.ts';
import { usualKind } from './iep-kind.ts';
import { type GoalContent, type IepDocument, findIeps } from './iep-document.ts';

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
  const creation = { chain: chainOf(caller, command), command, change: describeChange(caller, 'CreateIep', command) };
  return db.inChain(creation.chain, caller, createTogether, creation, bytesOf(command));
}

interface Creation {
  readonly chain: Chain;
  readonly command: CreateIepCommand;
  readonly change: Change;
}

/** The creations of calls that share a unit of work, in their order. A refused one does not hold the others up. */
async function createTogether(
  unit: UnitOfWork,
  creations: readonly Creation[],
): Promise<readonly Outcome<IepDocument>[]> {
  const events = await findEarlier(
    unit,
    creations.map(({ change }) => change),
  );
  const heads = await readHeads(
    unit,
    creations.map(({ chain }) => chain),
    unit.now,
  );
  /** By id: what the events speak of, made before or in this unit. */
  const documents = new Map((await findCreated(unit, events)).map((document) => [document.iep.id, document]));
  const outcomes: Outcome<IepDocument>[] = [];
  for (const { chain, command, change } of creations) {
    try {
      const [earlier] = earlierOf(events, change);
      if (earlier !== undefined) {
        outcomes.push({ value: documents.get(earlier.iepId!)! });
        continue;
      }
      const allocation = heads.next(chain);
      requireLatest(command, allocation);
      const document = add(unit.em, change.caller, command, allocation);
      heads.take(chain, document.iep.id, allocation);
      documents.set(document.iep.id, document);
      events.push(record(unit, change, document.iep));
      outcomes.push({ value: document });
    } catch (error) {
      if (!(error instanceof Refusal)) {
        throw error;
      }
      outcomes.push({ refusal: error });
    }
  }
  return outcomes;
}

async function findCreated(unit: UnitOfWork, events: readonly ChangeEvent[]): Promise<IepDocument[]> {
  const byDistrict = [...Map.groupBy(events, ({ districtId }) => districtId)];
  const found = byDistrict.map(([districtId, own]) =>
    findIeps(
      unit,
      districtId,
      own.map(({ iepId }) => iepId!),
    ),
  );
  return (await Promise.all(found)).flat();
}

function add(em: EntityManager, caller: Caller, command: CreateIepCommand, allocation: Allocation): IepDocument {
  const iep = em.create(Iep, { ...draft(caller, command, allocation), id: randomUUIDv7() });
  const goals = command.goals.map((goal, position) => {
    const id = randomUUIDv7();
    return em.create(Goal, {
      ...goal,
      districtId: caller.districtId,
      id,
      iep,
      lineageId: id,
      position,
      goalKey: goal.goalKey ?? randomUUIDv7(),
    });
  });
  return { iep, goals };
}

function record(unit: UnitOfWork, change: Change, { id, studentId, status, rowVersion, createTime }: Iep): ChangeEvent {
  return recordChange(unit, change, { studentId, iepId: id, toStatus: status, rowVersion, time: createTime });
}

/** What createIep would answer now, without ids. Takes no lock and writes nothing. */
export async function previewIep(db: Database, caller: Caller, command: CreateIepCommand): Promise<IepDocument> {
  const chain = chainOf(caller, command);
  return db.read(caller, async (reader) => {
    const allocation = (await readHeads(reader, [chain], new Date())).next(chain);
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
    basedOnIepId: null,
    kind: command.kind ?? usualKind(allocation.version),
    status: 'DRAFT',
    content: command.content,
    meetingDate: command.meetingDate,
    effectiveDate: command.effectiveDate,
    reviewDate: command.reviewDate,
    createdBy: caller.principal,
    createTime: allocation.createTime,
    updateTime: allocation.createTime,
    approvedBy: null,
    approveTime: null,
    contentSha256: null,
    revision: 1,
    rowVersion: 1,
  };
}

/** About what a creation adds to its unit of work. */
function bytesOf({ content, goals }: CreateIepCommand): number {
  return JSON.stringify(content).length + goals.reduce((sum, goal) => sum + JSON.stringify(goal).length, 0);
}
