import { isDeepStrictEqual } from 'node:util';
import type { Iep } from '../persistence/entities.ts';
import type { GoalContent } from './iep-document.ts';

/** What an edit of a draft may change, apart from the goals. */
export type IepFields = Pick<Iep, 'kind' | 'content' | 'meetingDate' | 'effectiveDate' | 'reviewDate'>;

/** A path ends at a field of the contract: the keys in the content are the author's own words, as its values are. */
const FIELD_PATHS = {
  kind: '/kind',
  meetingDate: '/meeting_date',
  effectiveDate: '/effective_date',
  reviewDate: '/review_date',
  content: '/content',
} satisfies { [Field in keyof IepFields]: string };

const GOAL_NAMES = {
  domain: 'domain',
  goalText: 'goal_text',
  baseline: 'baseline',
  targetCriteria: 'target_criteria',
  measurementMethod: 'measurement_method',
  measurementFrequency: 'measurement_frequency',
  startDate: 'start_date',
  targetDate: 'target_date',
} satisfies { [Field in keyof GoalContent]?: string };

/** A goal that has its key. */
export type KeyedGoal = Pick<GoalContent, 'goalKey' | keyof typeof GOAL_NAMES>;

/** JSON pointers to what differs between two states of a version, without its goals. */
export function changedFields(before: IepFields, after: IepFields): string[] {
  return Object.entries(FIELD_PATHS)
    .filter(([field]) => !isDeepStrictEqual(before[field as keyof IepFields], after[field as keyof IepFields]))
    .map(([, path]) => path);
}

/** JSON pointers to what differs between the goals of two states of a version; "/goals" where their order does. */
export function changedGoals(before: readonly KeyedGoal[], after: readonly KeyedGoal[]): string[] {
  const [earlier, later] = [before, after].map((goals) => new Map(goals.map((goal) => [goal.goalKey, goal])));
  const keptIn = (goals: readonly KeyedGoal[]) =>
    goals.map(({ goalKey }) => goalKey).filter((key) => earlier!.has(key) && later!.has(key));
  return [
    ...(isDeepStrictEqual(keptIn(before), keptIn(after)) ? [] : ['/goals']),
    ...after.flatMap((goal) => changedGoal(earlier!.get(goal.goalKey), goal)),
    ...before.filter(({ goalKey }) => !later!.has(goalKey)).map(({ goalKey }) => `/goals/${goalKey}`),
  ];
}

/** JSON pointers to what differs between two states of a goal; to the goal where it is new. */
export function changedGoal(before: KeyedGoal | undefined, after: KeyedGoal): string[] {
  const path = `/goals/${after.goalKey}`;
  return before === undefined
    ? [path]
    : Object.entries(GOAL_NAMES)
        .filter(([field]) => before[field as keyof KeyedGoal] !== after[field as keyof KeyedGoal])
        .map(([, name]) => `${path}/${name}`);
}
