import { type Goal, Iep } from '../persistence/entities.ts';
import type { SqlFragments } from '../persistence/dialects/dialect.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import { Refusal } from './errors.ts';
import { type GoalProgress, progressColumns, progressOf, type ProgressRow } from './goal-progress.ts';

export type GoalColumns = Omit<Goal, 'districtId' | 'iep' | 'iepId' | 'position'>;

/** What a goal says, and what was noted of it, apart from where it stands. */
export type GoalContent = GoalColumns & GoalProgress;

/**
 * The most documents that are fetched at a time while a list is read: each may be megabytes large. A page of 50, and the
 * document that shows that there are more, come in two.
 */
export const CHUNK = 26;

/** A version with its goals, in the author's order. */
export interface IepDocument {
  readonly iep: Iep;
  readonly goals: readonly GoalContent[];
}

const GOAL_COLUMNS = {
  id: 'id',
  lineageId: 'lineage_id',
  goalKey: 'goal_key',
  domain: 'domain',
  goalText: 'goal_text',
  baseline: 'baseline',
  targetCriteria: 'target_criteria',
  measurementMethod: 'measurement_method',
  measurementFrequency: 'measurement_frequency',
  startDate: 'start_date',
  targetDate: 'target_date',
} satisfies { [Field in keyof GoalColumns]: string };

/** The goals of a version in `ieps` as one column, in the author's order; `condition` picks some of them. */
export const goalsColumn = (sql: SqlFragments, condition = 'true') =>
  goalsAs(sql.jsonRows({ ...GOAL_COLUMNS, ...progressColumns(sql) }, 'position'), condition);

/** The same, as JSON without progress: only what the goals say. */
export const goalWordsColumn = (sql: SqlFragments) => goalsAs(sql.jsonRows(GOAL_COLUMNS, 'position'), 'true');

const goalsAs = (rows: string, condition: string) => `cast((
  select ${rows} from goals
  where goals.district_id = ieps.district_id and goals.iep_id = ieps.id and ${condition}
) as text) as goals`;

/** What is read by `goalsColumn`. */
export function goalsOf(column: string | null): GoalContent[] {
  const rows = JSON.parse(column ?? '[]') as (GoalColumns & ProgressRow)[];
  return rows.map(({ lastStatus, notes, ...goal }) => ({ ...goal, ...progressOf({ lastStatus, notes }) }));
}

interface DocumentRow extends Record<string, unknown> {
  readonly goals: string | null;
}

/**
 * Reads documents whole by one statement: a round trip costs more than the rows. `clause` follows `from ieps`; all that it
 * matches must be of one district.
 */
export async function findDocuments(
  { em, sql }: Reader,
  clause: string,
  params: readonly unknown[],
): Promise<IepDocument[]> {
  const rows = await em.execute<DocumentRow[]>(`select ieps.*, ${goalsColumn(sql)} from ieps ${clause}`, [...params]);
  return rows.map(({ goals, ...row }) => ({ iep: em.map(Iep, row), goals: goalsOf(goals) }));
}

/** Those of the district's versions that have these ids, in any order. */
export async function findIeps(reader: Reader, districtId: string, iepIds: readonly string[]): Promise<IepDocument[]> {
  const places = iepIds.map(() => '?').join(', ');
  return iepIds.length === 0
    ? []
    : findDocuments(reader, `where district_id = ? and id in (${places})`, [districtId, ...iepIds]);
}

/** Reads one version; IEP_NOT_FOUND when the district has none with this id. */
export async function requireIep(reader: Reader, districtId: string, iepId: string): Promise<IepDocument> {
  const [document] = await findIeps(reader, districtId, [iepId]);
  if (document === undefined) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  return document;
}
