import { ProgressStatus } from '../../gen/iep/v1/iep_pb.ts';
import type { RecordGoalProgressRequest } from '../../gen/iep/v1/progress_pb.ts';
import type { RecordGoalProgressCommand } from '../../iep/record-goal-progress.ts';
import { checked, enumName, optionalUuid, type Report, text, uuid } from '../fields.ts';
import { goalKey } from './iep-requests.ts';

/** To a command: normalised and checked. Pure. */
export function toRecordGoalProgress(request: RecordGoalProgressRequest): RecordGoalProgressCommand {
  return checked((report) => ({
    iepId: uuid(report, 'iep_id', request.iepId),
    goalKey: goalKey(report, 'goal_key', request.goalKey),
    progressStatus: enumName(report, 'progress_status', ProgressStatus, request.progressStatus),
    note: note(report, request),
    requestId: optionalUuid(report, 'request_id', request.requestId),
  }));
}

function note(report: Report, request: RecordGoalProgressRequest): string {
  const required = request.progressStatus === ProgressStatus.UNSPECIFIED;
  if (required && request.note.trim() === '') {
    report('note', 'is required where no progress_status is given');
    return '';
  }
  return text(report, 'note', request.note, { max: 4000, multiline: true, required });
}
