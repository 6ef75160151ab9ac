import { isFieldSet } from '@bufbuild/protobuf';
import { type Iep, IepKind, IepSchema } from '../../gen/iep/v1/iep_pb.ts';
import type { UpdateIepRequest } from '../../gen/iep/v1/iep_service_pb.ts';
import type { UpdateIepCommand } from '../../iep/update-iep.ts';
import { checked, date, enumName, optionalUuid, type Report, uuid } from '../fields.ts';
import { content } from './content.ts';
import { goals } from './iep-requests.ts';
import { updatePaths } from './update-mask.ts';

/** Reads of the fields that an edit may change, by their names in the contract. */
const READERS = {
  kind: (report, { kind }) => ({ kind: enumName(report, 'iep.kind', IepKind, kind) }),
  content: (report, iep) => ({ content: content(report, 'iep.content', iep.content ?? {}) }),
  goals: (report, iep) => ({ goals: goals(report, 'iep.goals', iep.goals) }),
  meeting_date: (report, iep) => ({ meetingDate: date(report, 'iep.meeting_date', iep.meetingDate) }),
  effective_date: (report, iep) => ({ effectiveDate: date(report, 'iep.effective_date', iep.effectiveDate) }),
  review_date: (report, iep) => ({ reviewDate: date(report, 'iep.review_date', iep.reviewDate) }),
} satisfies Record<string, (report: Report, iep: Iep) => UpdateIepCommand['fields']>;

type IepPath = keyof typeof READERS;
const PATHS = Object.keys(READERS) as IepPath[];

export function toUpdateIep({ iep, updateMask, requestId }: UpdateIepRequest): UpdateIepCommand {
  return checked((report) => {
    if (iep === undefined) {
      report('iep', 'is required');
      return { iepId: '', etag: '', fields: {}, paths: [], requestId: undefined };
    }
    if (iep.etag === '') {
      report('iep.etag', 'is required: that of the IEP as it was read, or "*" for any');
    }
    const paths = updatePaths(report, 'iep', updateMask, PATHS, filledFields(iep));
    return {
      iepId: uuid(report, 'iep.id', iep.id),
      etag: iep.etag,
      fields: Object.assign({}, ...paths.map((path) => READERS[path](report, iep))),
      paths,
      requestId: optionalUuid(report, 'request_id', requestId),
    };
  });
}

/** Names of the fields that say something; an empty Struct does not. */
function filledFields(iep: Iep): string[] {
  const filled = IepSchema.fields.filter((field) => isFieldSet(iep, field)).map(({ name }) => name);
  return Object.keys(iep.content ?? {}).length > 0 ? filled : filled.filter((name) => name !== 'content');
}
