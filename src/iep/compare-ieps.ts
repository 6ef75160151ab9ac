import type { Database } from '../persistence/database.ts';
import type { Caller } from './caller.ts';
import { compareJson, type Difference } from './compare-json.ts';
import { invalidField, Refusal } from './errors.ts';
import { findStatements, type FoundStatement, type Statement } from './find-statements.ts';
import type { GoalColumns } from './iep-document.ts';

export interface CompareIepsQuery {
  readonly fromIepId: string;
  readonly toIepId: string;
}

/** What two documents of one student say differently: first their content, then their goals, then their dates. */
export async function compareIeps(db: Database, caller: Caller, query: CompareIepsQuery): Promise<Difference[]> {
  const { fromIepId, toIepId } = query;
  const found = await db.read(caller, (reader) => findStatements(reader, caller.districtId, [fromIepId, toIepId]));
  const from = withId(found, fromIepId);
  const to = withId(found, toIepId);
  if (from.iep.studentId !== to.iep.studentId) {
    throw invalidField('to_iep_id', 'must be an IEP of the same student as from_iep_id');
  }
  return compareDocuments(from, to);
}

/** Only the authors' words count: not the kind, the status, the progress, nor anything that the service assigns. */
export function compareDocuments(from: Statement, to: Statement): Difference[] {
  return [
    ...compareJson('/content', from.iep.content, to.iep.content),
    ...compareGoals(from.goals, to.goals),
    ...compareJson('', datesOf(from.iep), datesOf(to.iep)),
  ];
}

function withId(statements: readonly FoundStatement[], iepId: string): FoundStatement {
  const found = statements.find(({ iep }) => iep.id === iepId);
  if (found === undefined) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  return found;
}

/** Goal by goal: those of `to` in their order, then those that are gone. */
function compareGoals(from: readonly GoalColumns[], to: readonly GoalColumns[]): Difference[] {
  const before = byKey(from);
  const after = byKey(to);
  const keys = new Set([...after.keys(), ...before.keys()]);
  return [...keys].flatMap((key) => compareJson('/goals', before.get(key) ?? {}, after.get(key) ?? {}));
}

/** Each goal as an object that holds nothing else, by its key. */
function byKey(goals: readonly GoalColumns[]): Map<string, Record<string, unknown>> {
  return new Map(goals.map((goal) => [goal.goalKey, { [goal.goalKey]: fieldsOf(goal) }]));
}

/** What a goal says, as ProtoJSON with the names of the proto. */
function fieldsOf(goal: GoalColumns): Record<string, unknown> {
  return given({
    goal_key: goal.goalKey,
    domain: goal.domain && `GOAL_DOMAIN_${goal.domain}`,
    goal_text: goal.goalText,
    baseline: goal.baseline,
    target_criteria: goal.targetCriteria,
    measurement_method: goal.measurementMethod,
    measurement_frequency: goal.measurementFrequency && `MEASUREMENT_FREQUENCY_${goal.measurementFrequency}`,
    start_date: goal.startDate,
    target_date: goal.targetDate,
  });
}

function datesOf({ meetingDate, effectiveDate, reviewDate }: Statement['iep']): Record<string, unknown> {
  return given({ meeting_date: meetingDate, effective_date: effectiveDate, review_date: reviewDate });
}

function given(fields: Record<string, string | null | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
