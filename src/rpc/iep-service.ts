import { toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { IepSchema } from '../gen/iep/v1/iep_pb.ts';
import type { IEPService } from '../gen/iep/v1/iep_service_pb.ts';
import { createIep, previewIep } from '../iep/create-iep.ts';
import { createStudents } from '../iep/create-students.ts';
import { getIep, getLatestIep, listIeps } from '../iep/find-ieps.ts';
import { getStudent, listStudents } from '../iep/find-students.ts';
import { updateStudent } from '../iep/update-student.ts';
import { createWatchIeps } from '../iep/watch-ieps.ts';
import type { Database } from '../persistence/database.ts';
import { callerOf } from './call-context.ts';
import { toIep, toStudent } from './messages.ts';
import { encodePageToken } from './pages.ts';
import { toCreateIep, toGetIep, toGetLatestIep, toListIeps } from './requests/iep-requests.ts';
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

/** A page ends early here, so that clients' usual limit of 4 MiB is never met. */
const PAGE_BYTES = 3 * 1024 * 1024;

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
      const more = students.length > pageSize;
      return {
        students: page.map(toStudent),
        nextPageToken: more ? encodePageToken(page.at(-1)!.id, 'ListStudents', filters) : '',
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
      return { iep: toIep(await getLatestIep(db, callerOf(context), toGetLatestIep(request))) };
    },

    async listIeps(request, context) {
      const { query, pageSize, filters } = toListIeps(request);
      const ieps = [];
      let bytes = 0;
      for await (const document of listIeps(db, callerOf(context), query)) {
        const iep = toIep(document);
        bytes += toBinary(IepSchema, iep).byteLength;
        if (ieps.length === pageSize || (ieps.length > 0 && bytes > PAGE_BYTES)) {
          return { ieps, nextPageToken: encodePageToken(ieps.at(-1)!.id, 'ListIeps', filters) };
        }
        ieps.push(iep);
      }
      return { ieps };
    },

    async *watchIeps(request, context) {
      const caller = callerOf(context);
      const { districtId } = caller;
      const query = toWatchIeps(request, districtId);
      const tokenOf = resumeTokens({ districtId, studentId: query.studentId });
      for await (const message of watchIeps(caller, query)) {
        yield toWatchIepsResponse(message, tokenOf(message.position));
      }
    },

    // RPCs of the contract that are not written yet.
    updateIep: unwritten,
    submitIep: unwritten,
    returnIep: unwritten,
    approveIep: unwritten,
    activateIep: unwritten,
    endIep: unwritten,
    discardIep: unwritten,
    compareIeps: unwritten,
    recordGoalProgress: unwritten,
    listAuditEvents: unwritten,
  };
}

function unwritten(): never {
  throw new ConnectError('This RPC is not written yet.', Code.Unimplemented);
}
