import type { Goal, Iep } from '../persistence/entities.ts';
import type { SqlFragments } from '../persistence/dialects/dialect.ts';
import { type JsonRow, named } from '../persistence/json-rows.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import { Refusal } from './errors.ts';
import { type GoalProgress, progressColumns, progressOf, type ProgressRow } from './goal-progress.ts';

type GoalColumns = Omit<Goal, 'districtId' | 'iepId' | 'position'>;

/** What a goal says, and what was noted of it, apart from where it stands. */
export type GoalContent = GoalColumns & GoalProgress;

/**
 * The most documents that are fetched at a time while a list is read: each may be megabytes large. A page of 50, and the
 * document that shows that there are more, come in one.
 */
export const CHUNK = 51;

/** A version with its goals, in the author's order. */
export interface IepDocument {
  readonly iep: Iep;
  readonly goals: readonly GoalContent[];
}

/** A document as it was read. */
export interface StoredDocument extends IepDocument {
  /** UTF-16 units of the JSON that its content and its goals were read as. */
  readonly jsonLength: number;
}

/** A version as one row. Its content is read as text, whichever way the database would give it. */
const IEP_COLUMNS = {
  districtId: 'district_id',
  id: 'id',
  studentId: 'student_id',
  academicYear: 'academic_year',
  version: 'version',
  parentVersionId: 'parent_version_id',
  basedOnIepId: 'based_on_iep_id',
  kind: 'kind',
  status: 'status',
  content: 'cast(content as text)',
  meetingDate: 'meeting_date',
  effectiveDate: 'effective_date',
  reviewDate: 'review_date',
  createdBy: 'created_by',
  createTime: 'create_time',
  updateTime: 'update_time',
  approvedBy: 'approved_by',
  approveTime: 'approve_time',
  contentSha256: 'content_sha256',
  revision: 'revision',
  rowVersion: 'row_version',
} satisfies { [Field in keyof Iep]: string };

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

const GOAL_FIELDS = Object.keys(GOAL_COLUMNS) as (keyof GoalColumns)[];

/** The goals of a version in `ieps` as one column, in the author's order; `condition` picks some of them. */
export const goalsColumn = (sql: SqlFragments, condition = 'true') => `cast((
  select ${sql.jsonRows([...Object.values(GOAL_COLUMNS), ...progressColumns(sql)], 'position')} from goals
  where goals.district_id = ieps.district_id and goals.iep_id = ieps.id and ${condition}
) as text) as goals`;

/** What is read by `goalsColumn`. */
export function goalsOf(column: string | null): GoalContent[] {
  const rows = JSON.parse(column ?? '[]') as JsonRow[];
  return rows.map((values) => ({
    ...named<GoalColumns>(GOAL_FIELDS, values),
    ...progressOf(values.slice(GOAL_FIELDS.length) as unknown as ProgressRow),
  }));
}

const IEP_SELECTION = Object.entries(IEP_COLUMNS).map(([field, column]) => `${column} as "${field}"`);

interface DocumentRow extends Omit<Iep, 'content' | 'createTime' | 'updateTime' | 'approveTime'> {
  readonly content: string;
  readonly createTime: string | number;
  readonly updateTime: string | number;
  readonly approveTime: string | number | null;
  readonly goals: string | null;
}

/**
 * Reads documents whole by one statement: a round trip costs more than the rows. `clause` follows `from ieps`; all that it
 * matches must be of one district. They are plain objects, which no unit of work looks after.
 */
export async function findDocuments(
  { em, sql }: Reader,
  clause: string,
  params: readonly unknown[],
): Promise<StoredDocument[]> {
  const columns = [...IEP_SELECTION, goalsColumn(sql)].join(', ');
  const rows = await em.execute<DocumentRow[]>(`select ${columns} from ieps ${clause}`, [...params]);
  return rows.map(documentOf);
}

function documentOf({ goals, ...row }: DocumentRow): StoredDocument {
  const iep = {
    ...row,
    content: JSON.parse(row.content) as Iep['content'],
    createTime: new Date(row.createTime),
    updateTime: new Date(row.updateTime),
    approveTime: row.approveTime === null ? null : new Date(row.approveTime),
  };
  return { iep, goals: goalsOf(goals), jsonLength: row.content.length + (goals?.length ?? 0) };
}

/** Those of the district's versions that have these ids, in any order. */
export async function findIeps(
  reader: Reader,
  districtId: string,
  iepIds: readonly string[],
): Promise<StoredDocument[]> {
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
