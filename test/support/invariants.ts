/** What must hold in the database after whatever happened, checked by SQL past the service. */
import type { Row, TestDatabase } from './sql.ts';

/** Each query finds the rows that break the rule. */
const INVARIANTS: Record<string, string> = {
  'versions of a chain are 1 to N, none missing and none twice': `
    select district_id, student_id, academic_year from ieps group by district_id, student_id, academic_year
    having min(version) <> 1 or max(version) <> count(*) or count(distinct version) <> count(*)`,
  'the parent of version N is version N - 1 of the chain': `
    select child.id from ieps as child
    left join ieps as parent on parent.district_id = child.district_id and parent.id = child.parent_version_id
    where (child.version = 1 and child.parent_version_id is not null)
    or (child.version > 1 and (parent.id is null or parent.version <> child.version - 1
      or parent.student_id <> child.student_id or parent.academic_year <> child.academic_year))`,
  'no version is older than its parent': `
    select child.id from ieps as child
    join ieps as parent on parent.district_id = child.district_id and parent.id = child.parent_version_id
    where child.create_time < parent.create_time`,
  'a request_id stands for one change': `
    select request_id from events where request_id is not null
    group by district_id, rpc, request_id, request_index having count(*) > 1`,
  'no version without its student': `
    select ieps.id from ieps left join students on students.district_id = ieps.district_id and students.id = student_id
    where students.id is null`,
  'at most one ACTIVE version per student': `
    select student_id from ieps where status = 'ACTIVE' group by district_id, student_id having count(*) > 1`,
  // Counted before they are joined: of a join SQLite may read all events of a kind for each row.
  'one creation event per version': `
    select ieps.id from ieps
    left join (select district_id, iep_id, count(*) as events from events where rpc = 'CreateIep' group by 1, 2) as creation
      on creation.district_id = ieps.district_id and creation.iep_id = ieps.id
    where coalesce(creation.events, 0) <> 1`,
  'one creation event per student': `
    select students.id from students
    left join (select district_id, student_id, count(*) as events from events
      where rpc in ('CreateStudent', 'BatchCreateStudents') group by 1, 2) as creation
      on creation.district_id = students.district_id and creation.student_id = students.id
    where coalesce(creation.events, 0) <> 1`,
  'a base is of the same student': `
    select ieps.id from ieps
    left join ieps as base on base.district_id = ieps.district_id and base.id = ieps.based_on_iep_id
    where ieps.based_on_iep_id is not null and (base.id is null or base.student_id <> ieps.student_id)`,
  'an amendment has a base that was approved, and its review_date': `
    select ieps.id from ieps
    left join ieps as base on base.district_id = ieps.district_id and base.id = ieps.based_on_iep_id
    where ieps.kind in ('AMENDMENT', 'CORRECTION')
    and (base.approve_time is null or base.review_date is distinct from ieps.review_date)`,
  // Other kinds may have a draft for a base, which goes on changing.
  'a goal of an amendment has the lineage of the goal of the base with its key': `
    select goals.id from goals
    join ieps on ieps.district_id = goals.district_id and ieps.id = goals.iep_id
    join goals as base on base.district_id = ieps.district_id and base.iep_id = ieps.based_on_iep_id
      and base.goal_key = goals.goal_key
    where ieps.kind in ('AMENDMENT', 'CORRECTION') and base.lineage_id <> goals.lineage_id`,
  'no goal shares a lineage with another one of its version, or of another student': `
    select goals.lineage_id from goals
    join ieps on ieps.district_id = goals.district_id and ieps.id = goals.iep_id
    group by goals.district_id, goals.lineage_id
    having count(*) <> count(distinct iep_id) or count(distinct student_id) > 1`,
  'every note of progress is of an event of its version, and every such event has one': `
    select coalesce(progress_notes.id, events.id) as id from progress_notes
    full join events on events.district_id = progress_notes.district_id and events.id = progress_notes.id
    where (progress_notes.id is null and events.rpc = 'RecordGoalProgress')
    or (progress_notes.id is not null and (events.id is null or events.iep_id <> progress_notes.iep_id))`,
  'no two changes of a version lead to one row_version': `
    select iep_id from events where iep_id is not null and rpc <> 'RecordGoalProgress'
    group by district_id, iep_id having count(*) <> count(distinct row_version)`,
  'no event of something that is not there': `
    select events.id from events left join ieps on ieps.district_id = events.district_id and ieps.id = events.iep_id
    where events.iep_id is not null and ieps.id is null`,
};

/** The broken invariants, with the first rows that break each. */
export async function brokenInvariants(database: Pick<TestDatabase, 'query'>): Promise<Record<string, Row[]>> {
  const broken: Record<string, Row[]> = {};
  for (const [name, sql] of Object.entries(INVARIANTS)) {
    const rows = await database.query(`${sql} limit 5`);
    if (rows.length > 0) {
      broken[name] = rows;
    }
  }
  return broken;
}
