import type { ChangeStatusCommand } from '../../iep/change-status.ts';
import { requiresComment, type StatusRpc } from '../../iep/iep-status.ts';
import { checked, optionalUuid, text, uuid } from '../fields.ts';

/** What the requests of SubmitIep, ReturnIep, ApproveIep, ActivateIep, EndIep and DiscardIep have in common. */
export interface StatusRequest {
  readonly iepId: string;
  readonly etag: string;
  readonly comment: string;
  readonly requestId: string;
}

const COMMENT = { max: 4000, multiline: true };

export function toChangeStatus(rpc: StatusRpc, request: StatusRequest): ChangeStatusCommand {
  return checked((report) => {
    if (request.etag === '') {
      report('etag', 'is required: that of the IEP as it was read, or "*" for any');
    }
    return {
      iepId: uuid(report, 'iep_id', request.iepId),
      etag: request.etag,
      comment: text(report, 'comment', request.comment, { ...COMMENT, required: requiresComment(rpc) }),
      requestId: optionalUuid(report, 'request_id', request.requestId),
    };
  });
}
