import { AuditEventSchema } from '../gen/iep/v1/audit_pb.ts';
import { IepSchema } from '../gen/iep/v1/iep_pb.ts';
import type { StoredDocument } from '../iep/iep-document.ts';
import type { ChangeEvent } from '../persistence/entities.ts';
import { toAuditEvent } from './audit-messages.ts';
import { toIep } from './messages.ts';
import type { Listed } from './pages.ts';

/** More than all fields of fixed length together, and the names of those who acted. */
const FIELDS_BYTES = 4096;
/** A character has up to 3 bytes in UTF-8, but a number in an array, like `1,`, has 11. */
const BYTES_PER_UNIT = 6;
/** The framing of a string. */
const STRING_BYTES = 5;

export const LISTED_IEPS: Listed<StoredDocument, typeof IepSchema> = {
  schema: IepSchema,
  toMessage: toIep,
  bytesAtMost: ({ jsonLength }) => FIELDS_BYTES + BYTES_PER_UNIT * jsonLength,
};

export const LISTED_EVENTS: Listed<ChangeEvent, typeof AuditEventSchema> = {
  schema: AuditEventSchema,
  toMessage: toAuditEvent,
  bytesAtMost: ({ changedPaths }) =>
    changedPaths.reduce((bytes, path) => bytes + STRING_BYTES + 3 * path.length, FIELDS_BYTES),
};
