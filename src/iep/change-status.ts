import type { Database } from '../persistence/database.ts';
import { type ChangeEvent, EventComment } from '../persistence/entities.ts';
import type { Chain } from '../persistence/dialects/dialect.ts';
import type { Outcome, SharedWork, UnitOfWork } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { type Change, describeChange, recordChange } from './change.ts';
import { changeDocuments, type DocumentCall, type HeldDocuments } from './change-documents.ts';
import { contentSha256 } from './content-hash.ts';
import { type IepPlace, requireChain } from './iep-chain.ts';
import type { IepDocument } from './iep-document.ts';
import { ACTIVE, APPROVED, nextStatus, type StatusRpc, SUPERSEDED } from './iep-status.ts';

export interface ChangeStatusCommand {
  readonly iepId: string;
  readonly etag: string;
  /** Empty = none. */
  readonly comment: string;
  readonly requestId: string | undefined;
}

type StatusCall = DocumentCall<ChangeStatusCommand & { readonly rpc: StatusRpc }>;

/** Moves a version to the status that the call leads to, if it is still in the state that the etag stands for. */
export async function changeStatus(
  db: Database,
  caller: Caller,
  rpc: StatusRpc,
  command: ChangeStatusCommand,
): Promise<IepDocument> {
  // An activation may put another version out of force, which has an event of its own.
  const change = describeChange(caller, rpc, command, rpc === 'ActivateIep' ? 2 : 1);
  const chain = await requireChain(db, caller, command.iepId);
  const bytes = command.comment.length;
  const call: StatusCall = { chain, command: { ...command, rpc }, change, bytes };
  return db.inChain(chain, caller, OF_STUDENT.includes(rpc) ? ofStudent(chain) : changeTogether, call, bytes);
}

/** They are about the version that is in force, which may be of another chain than the one that takes its place. */
const OF_STUDENT: readonly StatusRpc[] = ['ActivateIep', 'EndIep'];

/**
 * A change that the student's row orders. Each has a unit of its own, by work that nobody shares: a lock on a row is a
 * write, and a unit that waited for a second student's after it would have its place in the feed before what it waited for.
 */
function ofStudent({ districtId, studentId }: Chain): SharedWork<StatusCall, IepDocument> {
  return {
    async run(unit, calls) {
      await unit.lockStudent(districtId, studentId);
      const rows = await unit.em.execute<{ id: string }[]>(
        `select id from ieps where district_id = ? and student_id = ? and status = '${ACTIVE}'`,
        [districtId, studentId],
      );
      return changeAll(
        unit,
        calls,
        rows.map(({ id }) => ({ districtId, iepId: id })),
      );
    },
  };
}

/** The changes of calls that share a unit of work. */
const changeTogether: SharedWork<StatusCall, IepDocument> = { run: (unit, calls) => changeAll(unit, calls) };

async function changeAll(
  unit: UnitOfWork,
  calls: readonly StatusCall[],
  others: readonly IepPlace[] = [],
): Promise<readonly Outcome<IepDocument>[]> {
  const today = unit.now.toISOString().slice(0, 10);
  return changeDocuments(
    unit,
    calls,
    async (documents, { command, change }) => {
      const document = documents.get(command.iepId)!;
      const to = nextStatus(command.rpc, document, { principal: change.caller.principal, today });
      const superseded = to === ACTIVE ? activeOf(documents, document.iep.studentId) : undefined;
      const events: ChangeEvent[] = [];
      if (superseded !== undefined) {
        events.push(await supersede(unit, change, superseded));
      }
      const event = enter(unit, change, document, to);
      if (command.comment !== '') {
        const { districtId, id: eventId } = event;
        unit.append(EventComment, { districtId, eventId, comment: command.comment });
      }
      return { document, events: [event, ...events] };
    },
    others,
  );
}

function activeOf(documents: HeldDocuments, studentId: string): IepDocument | undefined {
  return [...documents.values()].find(({ iep }) => iep.studentId === studentId && iep.status === ACTIVE);
}

/**
 * Puts the student's ACTIVE version out of force. Flushed by itself: one statement for both versions might make the new
 * one ACTIVE first.
 */
async function supersede(unit: UnitOfWork, change: Change, active: IepDocument): Promise<ChangeEvent> {
  const event = enter(unit, change, active, SUPERSEDED, 1);
  await unit.flush();
  return event;
}

/** Gives the version its new status, and records it. */
function enter(unit: UnitOfWork, change: Change, document: IepDocument, to: string, index = 0): ChangeEvent {
  const { iep } = document;
  const { status: fromStatus, id: iepId, studentId } = iep;
  const time = unit.now > iep.updateTime ? unit.now : iep.updateTime;
  if (to === APPROVED) {
    Object.assign(iep, {
      approvedBy: change.caller.principal,
      approveTime: time,
      contentSha256: contentSha256(document),
    });
  }
  Object.assign(iep, { status: to, updateTime: time, rowVersion: iep.rowVersion + 1 });
  return recordChange(
    unit,
    change,
    {
      studentId,
      iepId,
      fromStatus,
      toStatus: to,
      rowVersion: iep.rowVersion,
      changedPaths: ['/status'],
      contentSha256: to === APPROVED ? iep.contentSha256 : null,
      time,
    },
    index,
  );
}
