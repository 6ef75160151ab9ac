import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import { compareIeps } from '../iep/compare-ieps.ts';
import { changeStatus } from '../iep/change-status.ts';
import { createIep, previewIep } from '../iep/create-iep.ts';
import { createStudents } from '../iep/create-students.ts';
import { getIep } from '../iep/find-ieps.ts';
import { getStudent, listStudents, namesOf } from '../iep/find-students.ts';
import { recordGoalProgress } from '../iep/record-goal-progress.ts';
import { listAuditEvents } from '../iep/list-audit-events.ts';
import { listIeps } from '../iep/list-ieps.ts';
import type { StatusRpc } from '../iep/iep-status.ts';
import { updateIep } from '../iep/update-iep.ts';
import { updateStudent } from '../iep/update-student.ts';
import { createWatchIeps } from '../iep/watch-ieps.ts';
import type { Database } from '../persistence/database.ts';
import { callerOf } from './call-context.ts';
import { LISTED_EVENTS, LISTED_IEPS } from './listed.ts';
import { toGoal, toIep, toStudent } from './messages.ts';
import { toRecordGoalProgress } from './requests/progress-request.ts';
import { toChanges } from './changes.ts';
import { encodePageToken, fillPage, PAGE_BYTES } from './pages.ts';
import { toGetIep, toGetLatestIep, toListAuditEvents, toListIeps } from './requests/find-requests.ts';
import { toCompareIeps, toCreateIep } from './requests/iep-requests.ts';
import {
  toBatchCreateStudents,
  toCreateStudent,
  toGetStudent,
  toListStudents,
  toUpdateStudent,
} from './requests/student-requests.ts';
import { toWatchIeps } from './requests/watch-request.ts';
import { toWatchIepsResponse } from './watch-messages.ts';
import { resumeTokens } from './watch-token.ts';

import { type StatusRequest, toChangeStatus } from './requests/status-requests.ts';
import { toUpdateIep } from './requests/update-iep-request.ts';

/** The handlers, written once for every protocol: message to command, one use case, result to message. */
export function createIepService(db: Database): ServiceImpl<typeof IEPService> {
  const watchIeps = createWatchIeps(db);
  return {
    async createStudent(request, context) {
      const [student] = await createStudents(db, callerOf(context), 'CreateStudent', toCreateStudent(request));
      return { student: toStudent(student!) };
    },

    async batchCreateStudents(request, context) {
      const command = toBatchCreateStudents(request);
      const students = await createStudents(db, callerOf(context), 'BatchCreateStudents', command);
      return { students: students.map(toStudent) };
    },

    async getStudent(request, context) {
      return { student: toStudent(await getStudent(db, callerOf(context), toGetStudent(request))) };
    },

    async listStudents(request, context) {
      const { query, pageSize, filters } = toListStudents(request);
      const students = await listStudents(db, callerOf(context), { ...query, limit: pageSize + 1 });
      const page = students.slice(0, pageSize);
      const last = page.at(-1);
      const more = students.length > pageSize;
      return {
        students: page.map(toStudent),
        nextPageToken: last && more ? encodePageToken(last.id, 'ListStudents', filters, namesOf(last)) : '',
      };
    },

    async updateStudent(request, context) {
      return { student: toStudent(await updateStudent(db, callerOf(context), toUpdateStudent(request))) };
    },

    async createIep(request, context) {
      const make = request.validateOnly ? previewIep : createIep;
      return { iep: toIep(await make(db, callerOf(context), toCreateIep(request))) };
    },

    async getIep(request, context) {
      return { iep: toIep(await getIep(db, callerOf(context), toGetIep(request))) };
    },

    async getLatestIep(request, context) {
      return { iep: toIep(await getIep(db, callerOf(context), toGetLatestIep(request))) };
    },

    async listIeps(request, context) {
      const { query, pageSize, filters } = toListIeps(request);
      const documents = listIeps(db, callerOf(context), { ...query, limit: pageSize + 1 });
      const { page, last } = await fillPage(documents, LISTED_IEPS, pageSize);
      return {
        ieps: page,
        nextPageToken: last ? encodePageToken(last.id, 'ListIeps', filters, last.reviewDate ?? '') : '',
      };
    },

    async listAuditEvents(request, context) {
      const { query, pageSize, filters } = toListAuditEvents(request);
      const events = listAuditEvents(db, callerOf(context), { ...query, limit: pageSize + 1 });
      const { page, last } = await fillPage(events, LISTED_EVENTS, pageSize);
      return { events: page, nextPageToken: last ? encodePageToken(last.id, 'ListAuditEvents', filters) : '' };
    },

    async recordGoalProgress(request, context) {
      return { goal: toGoal(await recordGoalProgress(db, callerOf(context), toRecordGoalProgress(request))) };
    },

    async compareIeps(request, context) {
      return { changes: toChanges(await compareIeps(db, callerOf(context), toCompareIeps(request)), PAGE_BYTES) };
    },

    async updateIep(request, context) {
      return { iep: toIep(await updateIep(db, callerOf(context), toUpdateIep(request))) };
    },

    submitIep: statusChange(db, 'SubmitIep'),
    returnIep: statusChange(db, 'ReturnIep'),
    approveIep: statusChange(db, 'ApproveIep'),
    activateIep: statusChange(db, 'ActivateIep'),
    endIep: statusChange(db, 'EndIep'),
    discardIep: statusChange(db, 'DiscardIep'),

    async *watchIeps(request, context) {
      const caller = callerOf(context);
      const { districtId } = caller;
      const query = toWatchIeps(request, districtId);
      const tokenOf = resumeTokens({ districtId, studentId: query.studentId });
      for await (const message of watchIeps(caller, query)) {
        yield toWatchIepsResponse(message, tokenOf(message.position));
      }
    },
  };
}

/** The handler of an RPC that moves a document to another status; their requests and responses are alike. */
function statusChange(db: Database, rpc: StatusRpc) {
  return async (request: StatusRequest, context: HandlerContext) => ({
    iep: toIep(await changeStatus(db, callerOf(context), rpc, toChangeStatus(rpc, request))),
  });
}
