import { randomUUIDv7 } from 'node:crypto';
import type { Database } from '../persistence/database.ts';
import type { Chain } from '../persistence/dialects/dialect.ts';
import { type ChangeEvent, Goal, Iep } from '../persistence/entities.ts';
import type { Outcome, SharedWork, UnitOfWork } from '../persistence/unit-of-work.ts';
import { type Allocation, askForHeads, type ChainHeads, headsOf, readNext } from './allocate-version.ts';
import type { Caller } from './caller.ts';
import { type Change, describeChange, earlierOf, findEarlier, recordChange } from './change.ts';
import { Refusal } from './errors.ts';
import { announceDocument } from './fresh-documents.ts';
import { findIeps, type GoalContent, type IepDocument, requireIep } from './iep-document.ts';
import { draftOf, type GivenIep, type IepDraft } from './iep-draft.ts';
import { usualKind } from './iep-kind.ts';

export interface CreateIepCommand extends GivenIep {
  readonly academicYear: string;
  /** INITIAL for version 1 and ANNUAL otherwise when absent. */
  readonly kind: string | undefined;
  /** The document to copy. */
  readonly basedOnIepId: string | undefined;
  /** 0 = "none yet"; absent = any. */
  readonly expectedLatestVersion: number | undefined;
  readonly requestId: string | undefined;
}

/** What the copy of a base counts for, besides what is given: its size is not known before it is read. */
const BASE_BYTES = 64 * 1024;

/** Creates the next version of the chain as a DRAFT. Two calls never get one version, and none is skipped. */
export async function createIep(db: Database, caller: Caller, command: CreateIepCommand): Promise<IepDocument> {
  const chain = chainOf(caller, command);
  const bytes = bytesOf(command);
  const creation = { chain, command, change: describeChange(caller, 'CreateIep', command), bytes };
  return db.inChain(chain, caller, createTogether, creation, bytes);
}

interface Creation {
  readonly chain: Chain;
  readonly command: CreateIepCommand;
  readonly change: Change;
  /** About what it writes. */
  readonly bytes: number;
}

/** The creations of calls that share a unit of work, in their order. A refused one does not hold the others up. */
const createTogether: SharedWork<Creation, IepDocument> = {
  opening: (sql, creations) => [
    askForHeads(
      sql,
      creations.map(({ chain }) => chain),
    ),
  ],
  run: (unit, creations, [heads]) => createAll(unit, creations, headsOf(heads!, unit.now)),
};

async function createAll(
  unit: UnitOfWork,
  creations: readonly Creation[],
  heads: ChainHeads,
): Promise<readonly Outcome<IepDocument>[]> {
  const events = await findEarlier(
    unit,
    creations.map(({ change }) => change),
  );
  /** What the events speak of, made before or in this unit, and the bases. */
  const documents = await findMentioned(unit, events, creations);
  const outcomes: Outcome<IepDocument>[] = [];
  for (const { chain, command, change, bytes } of creations) {
    try {
      const [earlier] = earlierOf(events, change);
      if (earlier !== undefined) {
        outcomes.push({ value: documents.get(placeOf(chain, earlier.iepId!))! });
        continue;
      }
      const allocation = heads.next(chain);
      requireLatest(command, allocation);
      const draft = draftOf(command, baseOf(chain, command, documents));
      const document = add(unit, rowOf(change.caller, command, draft, allocation), draft);
      heads.take(chain, document.iep.id, allocation);
      documents.set(placeOf(chain, document.iep.id), document);
      events.push(record(unit, change, document.iep));
      announceDocument(unit, document, bytes);
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

type Documents = Map<string, IepDocument>;

const placeOf = ({ districtId }: { readonly districtId: string }, iepId: string) => `${districtId}:${iepId}`;

/**
 * Reads the documents that the events speak of, and the bases of the creations. A base needs no lock of its own. One that
 * must be final no longer changes but for its status; if it is discarded meanwhile, its copy came first. Any other is
 * copied as it was committed at one moment: a statement sees a document and its goals in one snapshot.
 */
async function findMentioned(
  unit: UnitOfWork,
  events: readonly ChangeEvent[],
  creations: readonly Creation[],
): Promise<Documents> {
  const mentions = [
    ...events.map(({ districtId, iepId }) => ({ districtId, iepId: iepId! })),
    ...creations.flatMap(({ chain: { districtId }, command: { basedOnIepId: iepId } }) =>
      iepId === undefined ? [] : [{ districtId, iepId }],
    ),
  ];
  const documents: Documents = new Map();
  for (const [districtId, own] of Map.groupBy(mentions, (mention) => mention.districtId)) {
    const iepIds = [...new Set(own.map(({ iepId }) => iepId))];
    for (const document of await findIeps(unit, districtId, iepIds)) {
      documents.set(placeOf(document.iep, document.iep.id), document);
    }
  }
  return documents;
}

function baseOf(
  chain: Chain,
  { basedOnIepId: iepId }: CreateIepCommand,
  documents: Documents,
): IepDocument | undefined {
  const base = iepId === undefined ? undefined : documents.get(placeOf(chain, iepId));
  if (iepId !== undefined && base === undefined) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  return base;
}

function add(unit: UnitOfWork, row: Omit<Iep, 'id'>, draft: IepDraft): IepDocument {
  const iep: Iep = { ...row, id: randomUUIDv7() };
  unit.append(Iep, iep);
  const goals = draft.goals.map(({ progress, progressStatus, ...given }, position): GoalContent => {
    const id = randomUUIDv7();
    const goal = { ...given, id, lineageId: given.lineageId ?? id, goalKey: given.goalKey ?? randomUUIDv7() };
    unit.append(Goal, { ...goal, districtId: iep.districtId, iepId: iep.id, position });
    return { ...goal, progress, progressStatus };
  });
  return { iep, goals };
}

function record(unit: UnitOfWork, change: Change, { id, studentId, status, rowVersion, createTime }: Iep): ChangeEvent {
  return recordChange(unit, change, { studentId, iepId: id, toStatus: status, rowVersion, time: createTime });
}

/** What createIep would answer now, without ids. Takes no lock and writes nothing. */
export async function previewIep(db: Database, caller: Caller, command: CreateIepCommand): Promise<IepDocument> {
  const chain = chainOf(caller, command);
  const { basedOnIepId } = command;
  return db.read(caller, async (reader) => {
    const allocation = await readNext(reader, chain, new Date());
    requireLatest(command, allocation);
    const base = basedOnIepId === undefined ? undefined : await requireIep(reader, caller.districtId, basedOnIepId);
    const draft = draftOf(command, base);
    const goals = draft.goals.map((goal): GoalContent => ({
      ...goal,
      id: '',
      lineageId: goal.lineageId ?? '',
      goalKey: goal.goalKey ?? '',
    }));
    return { iep: { ...rowOf(caller, command, draft, allocation), id: '' }, goals };
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

function rowOf(
  caller: Caller,
  command: CreateIepCommand,
  { content, meetingDate, effectiveDate, reviewDate }: IepDraft,
  allocation: Allocation,
): Omit<Iep, 'id'> {
  return {
    districtId: caller.districtId,
    studentId: command.studentId,
    academicYear: command.academicYear,
    version: allocation.version,
    parentVersionId: allocation.parentVersionId,
    basedOnIepId: command.basedOnIepId ?? null,
    kind: command.kind ?? usualKind(allocation.version),
    status: 'DRAFT',
    content,
    meetingDate,
    effectiveDate,
    reviewDate,
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
function bytesOf({ content, goals, basedOnIepId }: CreateIepCommand): number {
  const given = JSON.stringify([content, goals]).length;
  return basedOnIepId === undefined ? given : given + BASE_BYTES;
}
