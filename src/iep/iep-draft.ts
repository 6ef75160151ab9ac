import type { Iep } from '../persistence/entities.ts';
import { contentBytes, MAX_CONTENT_BYTES } from './content-size.ts';
import { invalidField, Refusal, type Violation } from './errors.ts';
import { NO_PROGRESS } from './goal-progress.ts';
import type { GoalContent, IepDocument } from './iep-document.ts';
import { BASED_KINDS } from './iep-kind.ts';
import { mergePatch } from './merge-patch.ts';

export interface GoalDraft {
  /** Assigned when absent. */
  readonly goalKey: string | undefined;
  readonly domain: string | null;
  readonly goalText: string;
  readonly baseline: string;
  readonly targetCriteria: string;
  readonly measurementMethod: string;
  readonly measurementFrequency: string | null;
  readonly startDate: string | null;
  readonly targetDate: string | null;
}

type Dates = Pick<Iep, 'meetingDate' | 'effectiveDate' | 'reviewDate'>;

/** What a caller says of a new version. */
export interface GivenIep extends Dates {
  readonly studentId: string;
  readonly kind: string | undefined;
  /** With a base, a JSON Merge Patch. */
  readonly content: Record<string, unknown>;
  /** With a base, none means the base's. */
  readonly goals: readonly GoalDraft[];
}

/** What a new version will say, before it has its ids. */
export interface IepDraft extends Dates {
  readonly content: Record<string, unknown>;
  readonly goals: readonly DraftedGoal[];
}

interface DraftedGoal extends Omit<GoalContent, 'id' | 'goalKey' | 'lineageId'> {
  readonly goalKey: string | undefined;
  /** Of the goal that it carries on. */
  readonly lineageId: string | undefined;
}

/** What is frozen at approval stays as it is in these. */
const FINAL = ['APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED'];

/** Puts what the caller says on top of the base, where there is one. Pure. */
export function draftOf(given: GivenIep, base: IepDocument | undefined): IepDraft {
  return base === undefined
    ? { ...datesOf(given), content: given.content, goals: given.goals.map((goal) => carry(goal, undefined)) }
    : copyOf(base, given);
}

function copyOf({ iep, goals }: IepDocument, given: GivenIep): IepDraft {
  const amends = given.kind !== undefined && BASED_KINDS.includes(given.kind);
  if (iep.studentId !== given.studentId) {
    throw invalidField('based_on_iep_id', 'must be an IEP of the same student');
  }
  if (amends && !FINAL.includes(iep.status)) {
    throw new Refusal('BASE_NOT_FINAL', { status: iep.status });
  }
  const draft = {
    ...(amends ? keepDates(iep, given) : datesOf(given)),
    content: mergePatch(iep.content, given.content) as Record<string, unknown>,
    goals: carryGoals(goals, given.goals),
  };
  const violations = amends ? conflictsOfDates(iep, given) : [];
  // A merge nests no deeper than what is merged, but it may be larger.
  if (contentBytes(draft.content) > MAX_CONTENT_BYTES) {
    const description = `must, merged with the base's, have at most ${MAX_CONTENT_BYTES} bytes of canonical JSON`;
    violations.push({ field: 'content', description });
  }
  if (violations.length > 0) {
    throw new Refusal('INVALID_FIELD', { violations });
  }
  return draft;
}

function datesOf({ meetingDate, effectiveDate, reviewDate }: Dates): Dates {
  return { meetingDate, effectiveDate, reviewDate };
}

function keepDates(base: Dates, given: Dates): Dates {
  return {
    meetingDate: given.meetingDate ?? base.meetingDate,
    effectiveDate: given.effectiveDate ?? base.effectiveDate,
    reviewDate: base.reviewDate,
  };
}

function conflictsOfDates({ reviewDate }: Dates, given: Dates): Violation[] {
  const { effectiveDate } = given;
  if (given.reviewDate && given.reviewDate !== reviewDate) {
    const description = `must be that of the base, ${reviewDate ?? 'empty'}, or not given`;
    return [{ field: 'review_date', description }];
  }
  if (effectiveDate && reviewDate && effectiveDate > reviewDate) {
    return [{ field: 'effective_date', description: `must not lie after the review_date of the base, ${reviewDate}` }];
  }
  return [];
}

/** Those given, or those of the base; each carries on the goal of the base that has its key. */
function carryGoals(base: readonly GoalContent[], given: readonly GoalDraft[]): DraftedGoal[] {
  const byKey = new Map<string | undefined, GoalContent>(base.map((goal) => [goal.goalKey, goal]));
  return (given.length > 0 ? given : base).map((goal) => carry(goal, byKey.get(goal.goalKey)));
}

function carry(goal: GoalDraft | GoalContent, base: GoalContent | undefined): DraftedGoal {
  const { progressStatus, progress } = base ?? NO_PROGRESS;
  return { ...goal, lineageId: base?.lineageId, progressStatus, progress };
}
