import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type AuditEvent, AuditEventSchema } from '../gen/iep/v1/audit_pb.ts';
import type { ChangeEvent } from '../persistence/entities.ts';

/** A recorded change as a message: who, when and what, without values. Pure. */
export function toAuditEvent(row: ChangeEvent): AuditEvent {
  return create(AuditEventSchema, {
    id: row.id,
    eventTime: timestampFromDate(row.eventTime),
    actor: row.actor,
    action: row.rpc,
    studentId: row.studentId,
    iepId: row.iepId ?? '',
    changedPaths: row.changedPaths,
    contentSha256: row.contentSha256 ?? '',
  });
}
