/** Messages about IEPs to commands: normalised and checked. Pure. */
import { type Goal, GoalDomain, IepKind, MeasurementFrequency } from '../../gen/iep/v1/iep_pb.ts';
import type { CompareIepsRequest } from '../../gen/iep/v1/comparison_pb.ts';
import type { CreateIepCommand } from '../../iep/create-iep.ts';
import type { CompareIepsQuery } from '../../iep/compare-ieps.ts';
import type { GoalDraft } from '../../iep/iep-draft.ts';
import { BASED_KINDS } from '../../iep/iep-kind.ts';
import type { CreateIepRequest } from '../../gen/iep/v1/iep_service_pb.ts';
import { academicYear, checked, date, enumName, notBefore, optionalUuid, type Report, text, uuid } from '../fields.ts';
import { content } from './content.ts';

const GOAL_TEXT = { max: 4000, multiline: true };
const MAX_GOALS = 100;
const GOAL_KEY = /^[A-Za-z0-9_-]{1,64}$/;

export function toCreateIep(request: CreateIepRequest): CreateIepCommand {
  return checked((report) => {
    const kind = enumName(report, 'kind', IepKind, request.kind);
    const basedOnIepId = optionalUuid(report, 'based_on_iep_id', request.basedOnIepId);
    if (basedOnIepId === undefined && kind !== undefined && BASED_KINDS.includes(kind)) {
      report('based_on_iep_id', `is required: the IEP whose ${kind} this is`);
    }
    const { expectedLatestVersion } = request;
    if (expectedLatestVersion !== undefined && expectedLatestVersion < 0) {
      report('expected_latest_version', 'must not be negative; 0 means "none yet"');
    }
    const effectiveDate = date(report, 'effective_date', request.effectiveDate);
    const reviewDate = date(report, 'review_date', request.reviewDate);
    notBefore(report, ['review_date', reviewDate], ['effective_date', effectiveDate]);
    return {
      studentId: uuid(report, 'student_id', request.studentId),
      academicYear: academicYear(report, 'academic_year', request.academicYear),
      kind,
      content: content(report, 'content', request.content ?? {}),
      goals: goals(report, 'goals', request.goals),
      meetingDate: date(report, 'meeting_date', request.meetingDate),
      effectiveDate,
      reviewDate,
      basedOnIepId,
      expectedLatestVersion,
      requestId: optionalUuid(report, 'request_id', request.requestId),
    };
  });
}

/** A bad one counts as not given, like a bad date. */
export function goalKey(report: Report, field: string, value: string): string {
  if (GOAL_KEY.test(value)) {
    return value;
  }
  report(field, 'must be 1 to 64 of A-Z, a-z, 0-9, _ and -');
  return '';
}

export function toCompareIeps(request: CompareIepsRequest): CompareIepsQuery {
  return checked((report) => ({
    fromIepId: uuid(report, 'from_iep_id', request.fromIepId),
    toIepId: uuid(report, 'to_iep_id', request.toIepId),
  }));
}

export function goals(report: Report, field: string, values: readonly Goal[]): GoalDraft[] {
  if (values.length > MAX_GOALS) {
    report(field, `must hold at most ${MAX_GOALS}, not ${values.length}`);
    return [];
  }
  return values.map((goal, index) => {
    const path = `${field}[${index}]`;
    const key = goal.goalKey && goalKey(report, `${path}.goal_key`, goal.goalKey);
    if (key !== '' && values.findIndex((other) => other.goalKey === key) < index) {
      report(`${path}.goal_key`, 'must not be that of an earlier goal');
    }
    const startDate = date(report, `${path}.start_date`, goal.startDate);
    const targetDate = date(report, `${path}.target_date`, goal.targetDate);
    notBefore(report, [`${path}.target_date`, targetDate], [`${path}.start_date`, startDate]);
    const frequency = enumName(
      report,
      `${path}.measurement_frequency`,
      MeasurementFrequency,
      goal.measurementFrequency,
    );
    return {
      goalKey: key || undefined,
      domain: enumName(report, `${path}.domain`, GoalDomain, goal.domain) ?? null,
      goalText: text(report, `${path}.goal_text`, goal.goalText, { ...GOAL_TEXT, required: true }),
      baseline: text(report, `${path}.baseline`, goal.baseline, GOAL_TEXT),
      targetCriteria: text(report, `${path}.target_criteria`, goal.targetCriteria, GOAL_TEXT),
      measurementMethod: text(report, `${path}.measurement_method`, goal.measurementMethod, GOAL_TEXT),
      measurementFrequency: frequency ?? null,
      startDate,
      targetDate,
    };
  });
}
