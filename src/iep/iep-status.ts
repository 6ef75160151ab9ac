/** What may happen to a version, by its status. Pure. */
import type { Iep } from '../persistence/entities.ts';
import { isBlank } from './blank.ts';
import { Refusal, type Violation } from './errors.ts';
import type { GoalContent, IepDocument } from './iep-document.ts';

/** Who asks for a change, and on which day (UTC, "YYYY-MM-DD"). */
export interface Circumstances {
  readonly principal: string;
  readonly today: string;
}

interface Transition {
  readonly from: readonly string[];
  readonly to: string;
  readonly commentRequired?: true;
  /** Refuses a document that is not ready for it. */
  readonly guard?: (document: IepDocument, circumstances: Circumstances) => void;
}

/** What it says is frozen from now on. */
export const APPROVED = 'APPROVED';
/** In force. */
export const ACTIVE = 'ACTIVE';
/** What becomes of the version in force when another one takes its place. */
export const SUPERSEDED = 'SUPERSEDED';

/** Drafts: what they say may still change. */
const EDITABLE = ['DRAFT', 'RETURNED'];

const TRANSITIONS = {
  SubmitIep: { from: EDITABLE, to: 'UNDER_REVIEW', guard: requireSubstance },
  ReturnIep: { from: ['UNDER_REVIEW'], to: 'RETURNED', commentRequired: true },
  ApproveIep: { from: ['UNDER_REVIEW'], to: APPROVED, guard: requireApprovable },
  ActivateIep: { from: [APPROVED], to: ACTIVE, guard: requireEffective },
  EndIep: { from: [ACTIVE], to: 'ENDED', commentRequired: true },
  DiscardIep: { from: [...EDITABLE, 'UNDER_REVIEW', APPROVED], to: 'DISCARDED', commentRequired: true },
} as const satisfies Record<string, Transition>;

export type StatusRpc = keyof typeof TRANSITIONS;

export function requiresComment(rpc: StatusRpc): boolean {
  const { commentRequired }: Transition = TRANSITIONS[rpc];
  return commentRequired ?? false;
}

/** The status after the call; refuses one that the table or the document stands against. */
export function nextStatus(rpc: StatusRpc, document: IepDocument, circumstances: Circumstances): string {
  const { from, to, guard }: Transition = TRANSITIONS[rpc];
  const { status } = document.iep;
  if (!from.includes(status)) {
    throw illegal(rpc, status);
  }
  guard?.(document, circumstances);
  return to;
}

/** Refuses an edit of what is no draft. */
export function requireEditable({ status }: Iep): void {
  if (status === 'UNDER_REVIEW') {
    throw illegal('UpdateIep', status);
  }
  if (!EDITABLE.includes(status)) {
    throw new Refusal('CONTENT_FROZEN', { status });
  }
}

function illegal(rpc: string, from: string): Refusal {
  const transitions = Object.entries<Transition>(TRANSITIONS).filter(([, transition]) =>
    transition.from.includes(from),
  );
  const allowed = [...(EDITABLE.includes(from) ? ['UpdateIep'] : []), ...transitions.map(([name]) => name)];
  return new Refusal('ILLEGAL_TRANSITION', { from, rpc, allowed });
}

function requireSubstance({ iep, goals }: IepDocument): void {
  if (goals.length === 0 && Object.keys(iep.content).length === 0) {
    throw new Refusal('SUBMISSION_EMPTY', {});
  }
}

/** What approval needs of a goal, with what to say where it is missing. */
const NEEDED_OF_GOALS = {
  baseline: 'baseline',
  targetCriteria: 'target_criteria',
  measurementMethod: 'measurement_method',
  measurementFrequency: 'measurement_frequency',
} satisfies { [Field in keyof GoalContent]?: string };

function requireApprovable({ iep, goals }: IepDocument, { principal }: Circumstances): void {
  const gap = (field: string): Violation => ({ field, description: 'is required for approval' });
  const gaps = [
    ...(iep.effectiveDate ? [] : [gap('effective_date')]),
    ...(iep.reviewDate ? [] : [gap('review_date')]),
    ...(goals.length === 0 ? [{ field: 'goals', description: 'must hold at least one for approval' }] : []),
    ...goals.flatMap((goal, index) =>
      Object.entries(NEEDED_OF_GOALS)
        .filter(([field]) => isBlank(goal[field as keyof typeof NEEDED_OF_GOALS] ?? ''))
        .map(([, name]) => gap(`goals[${index}].${name}`)),
    ),
  ];
  const authors =
    iep.createdBy === principal
      ? [{ field: 'created_by', description: 'is the caller: have somebody else approve it' }]
      : [];
  if (gaps.length > 0) {
    throw new Refusal('APPROVAL_INCOMPLETE', { gaps: [...gaps, ...authors] });
  }
  if (authors.length > 0) {
    throw new Refusal('APPROVER_IS_AUTHOR', { gaps: authors });
  }
}

function requireEffective({ iep: { effectiveDate } }: IepDocument, { today }: Circumstances): void {
  // Approval has seen to it that there is one.
  if (effectiveDate && effectiveDate > today) {
    throw new Refusal('NOT_YET_EFFECTIVE', { effectiveDate });
  }
}
