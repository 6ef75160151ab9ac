/** Rows to messages. Pure. */
import { create, type JsonObject } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { etagOf } from '../iep/etag.ts';
import type { GoalContent, IepDocument } from '../iep/iep-document.ts';
import {
  type Goal,
  GoalDomain,
  GoalSchema,
  type Iep,
  IepKind,
  IepSchema,
  IepStatus,
  MeasurementFrequency,
  ProgressStatus,
} from '../gen/iep/v1/iep_pb.ts';
import { Disability, type Student, StudentSchema } from '../gen/iep/v1/student_pb.ts';
import type { Student as StudentRow } from '../persistence/entities.ts';

export function toStudent(row: StudentRow): Student {
  return create(StudentSchema, {
    id: row.id,
    districtId: row.districtId,
    studentNumber: row.studentNumber,
    givenName: row.givenName,
    familyName: row.familyName,
    birthDate: row.birthDate ?? '',
    gradeLevel: row.gradeLevel ?? '',
    disabilities: row.disabilities.map((name) => numberOf(Disability, name)),
    createTime: timestampFromDate(row.createTime),
    updateTime: timestampFromDate(row.updateTime),
    etag: etagOf(row),
  });
}

export function toIep({ iep, goals }: IepDocument): Iep {
  return create(IepSchema, {
    id: iep.id,
    studentId: iep.studentId,
    academicYear: iep.academicYear,
    version: iep.version,
    parentVersionId: iep.parentVersionId ?? '',
    basedOnIepId: iep.basedOnIepId ?? '',
    kind: numberOf(IepKind, iep.kind),
    status: numberOf(IepStatus, iep.status),
    content: iep.content as JsonObject,
    goals: goals.map(toGoal),
    meetingDate: iep.meetingDate ?? '',
    effectiveDate: iep.effectiveDate ?? '',
    reviewDate: iep.reviewDate ?? '',
    createdBy: iep.createdBy,
    createTime: timestampFromDate(iep.createTime),
    updateTime: timestampFromDate(iep.updateTime),
    approvedBy: iep.approvedBy ?? '',
    ...(iep.approveTime && { approveTime: timestampFromDate(iep.approveTime) }),
    revision: iep.revision,
    contentSha256: iep.contentSha256 ?? '',
    // A preview stands for no state.
    etag: iep.id === '' ? '' : etagOf(iep),
  });
}

export function toGoal(row: GoalContent): Goal {
  return create(GoalSchema, {
    id: row.id,
    goalKey: row.goalKey,
    domain: numberOf(GoalDomain, row.domain),
    goalText: row.goalText,
    baseline: row.baseline,
    targetCriteria: row.targetCriteria,
    measurementMethod: row.measurementMethod,
    measurementFrequency: numberOf(MeasurementFrequency, row.measurementFrequency),
    startDate: row.startDate ?? '',
    targetDate: row.targetDate ?? '',
    progressStatus: numberOf(ProgressStatus, row.progressStatus),
    progress: row.progress.map((note) => ({
      id: note.id,
      status: numberOf(ProgressStatus, note.status),
      note: note.note,
      recordedBy: note.recordedBy,
      recordTime: timestampFromDate(note.recordTime),
    })),
  });
}

/** Number of an enum's value by its name; that of UNSPECIFIED without one. */
export function numberOf<Values extends Record<string, number>>(
  values: Values,
  name: string | null | undefined,
): Values[keyof Values] {
  return values[name ?? 'UNSPECIFIED'] as Values[keyof Values];
}
