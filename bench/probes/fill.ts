/** Versions past the service, as it would have left them: each with its student, its parent and its event. */
import type { TestDatabase } from '../../test/support/sql.ts';

const DISTRICT = 'default';
const YEAR = '2025-2026';

/** A statement makes so many versions: between two of them the filling can be ended. */
const ROWS_PER_STATEMENT = 100_000;

export interface Filling {
  readonly students: number;
  readonly versionsPerStudent: number;
  /** Tells the students of one filling from those of another in the same database. */
  readonly label: string;
  /** Drafts without dates, where nothing else is said. */
  readonly versions?: VersionColumns;
}

/** SQL over `student`, which counts from 1, and `version`. */
export interface VersionColumns {
  readonly status: string;
  readonly reviewDate: string;
}

const DRAFTS: VersionColumns = { status: `'DRAFT'`, reviewDate: 'cast(null as date)' };

/** Ids come from what they stand for, so that a parent's is known without a look. */
const STUDENT_ID = 'cast(md5(? || student) as uuid)';
const IEP_ID = (version: string) => `cast(md5(? || student || '/' || ${version}) as uuid)`;

/**
 * Answers the ids of the students. Foreign keys and checks of a million rows one by one would take minutes, so the
 * triggers rest meanwhile; the invariants have to be checked afterwards.
 */
export async function fillChains(database: TestDatabase, filling: Filling, signal: AbortSignal): Promise<string[]> {
  const { students, versionsPerStudent, label, versions = DRAFTS } = filling;
  await database.query('set session_replication_role = replica');
  const perStatement = Math.max(1, Math.floor(ROWS_PER_STATEMENT / versionsPerStudent));
  for (let first = 1; first <= students; first += perStatement) {
    signal.throwIfAborted();
    const last = Math.min(students, first + perStatement - 1);
    await fillStudents(database, label, first, last);
    await fillVersions(database, label, [first, last, versionsPerStudent], versions);
  }
  await database.query('set session_replication_role = origin');
  const rows = await database.query(
    `select ${STUDENT_ID} as id from generate_series(1, cast(? as integer)) as student`,
    label,
    students,
  );
  return rows.map(({ id }) => String(id));
}

/** What autovacuum and the checkpointer would do some time later, in the midst of a measurement. */
export async function settle(database: TestDatabase): Promise<void> {
  await database.query('vacuum analyze students, ieps, goals, events');
  await database.query('checkpoint');
}

const RANGE = 'generate_series(cast(? as integer), cast(? as integer)) as student';

async function fillStudents(database: TestDatabase, label: string, first: number, last: number): Promise<void> {
  await database.query(
    `insert into students (district_id, id, student_number, given_name, family_name, given_name_folded,
      family_name_folded, disabilities, create_time, update_time, row_version)
    select '${DISTRICT}', ${STUDENT_ID}, ? || student, 'Ada', 'Lovelace', 'ada', 'lovelace', '[]', now(), now(), 1
    from ${RANGE}`,
    label,
    label,
    first,
    last,
  );
  await database.query(
    `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, row_version, changed_paths)
    select '${DISTRICT}', gen_random_uuid(), 'CreateStudent', 0, 'bench', now(), ${STUDENT_ID}, 1, '[]' from ${RANGE}`,
    label,
    first,
    last,
  );
}

async function fillVersions(
  database: TestDatabase,
  label: string,
  bounds: readonly [first: number, last: number, versions: number],
  { status, reviewDate }: VersionColumns,
): Promise<void> {
  const range = `${RANGE}, generate_series(1, cast(? as integer)) as version`;
  await database.query(
    `insert into ieps (district_id, id, student_id, academic_year, version, parent_version_id, kind, status, review_date,
      content, created_by, create_time, update_time, revision, row_version)
    select '${DISTRICT}', ${IEP_ID('version')}, ${STUDENT_ID}, '${YEAR}', version,
      case when version > 1 then ${IEP_ID('(version - 1)')} end, 'ANNUAL', ${status}, ${reviewDate},
      '{"present_levels":{"academic":"Reads 62 words correctly per minute."}}', 'bench', now(), now(), 1, 1
    from ${range}`,
    label,
    label,
    label,
    ...bounds,
  );
  await database.query(
    `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, iep_id, to_status,
      row_version, changed_paths)
    select '${DISTRICT}', gen_random_uuid(), 'CreateIep', 0, 'bench', now(), ${STUDENT_ID}, ${IEP_ID('version')},
      'DRAFT', 1, '[]' from ${range}`,
    label,
    label,
    ...bounds,
  );
}
