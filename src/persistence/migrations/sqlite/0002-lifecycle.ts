import { Migration } from '@mikro-orm/migrations';

/** The same as on PostgreSQL. */
export class Lifecycle extends Migration {
  override up(): void {
    // SQLite adds no constraint to a table that is there, so the two are built anew and take the old ones' places:
    // https://www.sqlite.org/lang_altertable.html#otheralter. Renaming ieps_new takes the references to it along.
    this.addSql(`
      create table ieps_new (
        district_id text not null,
        id text not null,
        student_id text not null,
        academic_year text not null check (
          academic_year glob '[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9]'
          and cast(substr(academic_year, 6) as integer) = cast(substr(academic_year, 1, 4) as integer) + 1),
        version integer not null check (version >= 1),
        previous_version integer generated always as (nullif(version - 1, 0)) stored,
        parent_version_id text,
        based_on_iep_id text,
        kind text not null check (
          kind in ('INITIAL', 'ANNUAL', 'REEVALUATION', 'AMENDMENT', 'CORRECTION', 'TRANSFER')),
        status text not null check (
          status in ('DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED')),
        content text not null check (json_valid(content)),
        meeting_date text check (meeting_date is date(meeting_date)),
        effective_date text check (effective_date is date(effective_date)),
        review_date text check (review_date is date(review_date)),
        created_by text not null,
        create_time integer not null,
        update_time integer not null,
        approved_by text,
        approve_time integer,
        content_sha256 text check (length(content_sha256) = 64 and content_sha256 not glob '*[^0-9a-f]*'),
        revision integer not null check (revision >= 1),
        row_version integer not null check (row_version >= 1),
        primary key (district_id, id),
        constraint ieps_version_key unique (district_id, student_id, academic_year, version),
        constraint ieps_parent_check check ((version = 1) = (parent_version_id is null)),
        constraint ieps_review_check check (review_date >= effective_date),
        constraint ieps_approval_check check (
          (approved_by is null) = (approve_time is null) and (approved_by is null) = (content_sha256 is null)),
        constraint ieps_student_fkey foreign key (district_id, student_id) references students (district_id, id),
        constraint ieps_parent_fkey foreign key (district_id, parent_version_id) references ieps_new (district_id, id),
        constraint ieps_based_on_fkey foreign key (district_id, based_on_iep_id) references ieps_new (district_id, id),
        constraint ieps_no_gap_fkey foreign key (district_id, student_id, academic_year, previous_version)
          references ieps_new (district_id, student_id, academic_year, version)
      ) strict`);
    this.addSql(`insert into ieps_new (${IEP_COLUMNS}) select ${IEP_COLUMNS} from ieps`);

    // A goal and those that carry it on have one lineage; progress belongs to it.
    this.addSql(`
      create table goals_new (
        district_id text not null,
        id text not null,
        iep_id text not null,
        lineage_id text not null,
        position integer not null check (position >= 0),
        goal_key text not null check (
          length(goal_key) between 1 and 64 and goal_key not glob '*[^-A-Za-z0-9_]*'),
        domain text check (domain in ('READING', 'WRITING', 'MATH', 'COMMUNICATION', 'SOCIAL_EMOTIONAL', 'BEHAVIOR',
          'ADAPTIVE', 'MOTOR', 'VOCATIONAL_TRANSITION', 'ATTENTION_EXECUTIVE', 'SENSORY', 'OTHER')),
        goal_text text not null check (goal_text <> ''),
        baseline text not null,
        target_criteria text not null,
        measurement_method text not null,
        measurement_frequency text check (
          measurement_frequency in ('WEEKLY', 'BIWEEKLY', 'MONTHLY', 'QUARTERLY', 'TERM')),
        start_date text check (start_date is date(start_date)),
        target_date text check (target_date is date(target_date)),
        primary key (district_id, id),
        constraint goals_goal_key_key unique (district_id, iep_id, goal_key),
        constraint goals_target_check check (target_date >= start_date),
        constraint goals_iep_fkey foreign key (district_id, iep_id) references ieps_new (district_id, id)
      ) strict`);
    this.addSql(`insert into goals_new (${GOAL_COLUMNS}, lineage_id) select ${GOAL_COLUMNS}, id from goals`);
    for (const table of ['goals', 'ieps']) {
      this.addSql(`drop table ${table}`);
      this.addSql(`alter table ${table}_new rename to ${table}`);
    }

    this.addSql(`create unique index ieps_one_active_key on ieps (district_id, student_id) where status = 'ACTIVE'`);
    // A district's versions by review_date, and those without one. At their end the academic_year, so that versions of other
    // years are passed over in the index.
    this.addSql(`create index ieps_review_idx on ieps (district_id, status, review_date, id, academic_year)
      where review_date is not null`);
    this.addSql(`create index ieps_no_review_idx on ieps (district_id, status, id, academic_year)
      where review_date is null`);

    this.addSql(`
      create table progress_notes (
        seq integer primary key autoincrement,
        district_id text not null,
        id text not null,
        lineage_id text not null,
        iep_id text not null,
        status text check (status in ('NOT_STARTED', 'IN_PROGRESS', 'MASTERED', 'DISCONTINUED')),
        note text not null,
        recorded_by text not null,
        record_time integer not null,
        constraint progress_notes_id_key unique (district_id, id),
        constraint progress_notes_check check (status is not null or note <> ''),
        constraint progress_notes_iep_fkey foreign key (district_id, iep_id) references ieps (district_id, id)
      ) strict`);
    this.addSql('create index progress_notes_lineage_idx on progress_notes (district_id, lineage_id, seq)');
    // The last status may lie far behind many notes without one.
    this.addSql(`create index progress_notes_status_idx on progress_notes (district_id, lineage_id, seq)
      where status is not null`);

    // What was said of a change. Not in its event: events hold no personal values.
    this.addSql(`
      create table event_comments (
        district_id text not null,
        event_id text not null,
        comment text not null check (comment <> ''),
        primary key (district_id, event_id),
        constraint event_comments_event_fkey foreign key (district_id, event_id) references events (district_id, id)
          deferrable initially deferred
      ) strict`);

    // The feed of a district and of a student; an IEP's events are picked out of its student's in the index.
    this.addSql('create index events_feed_idx on events (district_id, seq)');
    this.addSql('create index events_student_idx on events (district_id, student_id, seq, iep_id)');

    // Tells this database from others, for those who keep a place in its feed.
    this.addSql('create table database_identity (id text primary key) strict');
    this.addSql('insert into database_identity values (lower(hex(randomblob(16))))');

    FREEZE.forEach((statement) => this.addSql(statement));
    for (const table of ['progress_notes', 'events', 'event_comments']) {
      for (const event of ['update', 'delete']) {
        this.addSql(`
          create trigger ${table}_append_only_${event} before ${event} on ${table}
          begin select raise(abort, 'rows of ${table} are never changed or deleted'); end`);
      }
    }
  }
}

const IEP_COLUMNS = `district_id, id, student_id, academic_year, version, parent_version_id, kind, status, content,
  meeting_date, effective_date, review_date, created_by, create_time, update_time, revision, row_version`;
const GOAL_COLUMNS = `district_id, id, iep_id, position, goal_key, domain, goal_text, baseline, target_criteria,
  measurement_method, measurement_frequency, start_date, target_date`;

/** From these on a version is as it is. */
const FROZEN = `('APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED')`;
const STEPS = `(values ('APPROVED', 'ACTIVE'), ('APPROVED', 'DISCARDED'), ('ACTIVE', 'SUPERSEDED'), ('ACTIVE', 'ENDED'))`;
/** All but status, update_time and row_version. */
const FROZEN_COLUMNS = [
  'district_id',
  'id',
  'student_id',
  'academic_year',
  'version',
  'parent_version_id',
  'based_on_iep_id',
  'kind',
  'content',
  'meeting_date',
  'effective_date',
  'review_date',
  'created_by',
  'create_time',
  'approved_by',
  'approve_time',
  'content_sha256',
  'revision',
];

const frozenIep = (row: string) =>
  `exists (select 1 from ieps where district_id = ${row}.district_id and id = ${row}.iep_id and status in ${FROZEN})`;

/** The messages name no row and no value: they may reach a log. */
const FREEZE = [
  `create trigger ieps_frozen before update on ieps
  when old.status in ${FROZEN} and (
    (new.status <> old.status and (old.status, new.status) not in ${STEPS})
    or ${FROZEN_COLUMNS.map((column) => `new.${column} is not old.${column}`).join(' or ')})
  begin select raise(abort, 'a version that was approved or discarded is frozen'); end`,

  `create trigger ieps_frozen_delete before delete on ieps when old.status in ${FROZEN}
  begin select raise(abort, 'a version that was approved or discarded is frozen'); end`,

  ...[
    ['insert', frozenIep('new')],
    ['update', `${frozenIep('old')} or ${frozenIep('new')}`],
    ['delete', frozenIep('old')],
  ].map(
    ([event, frozen]) => `
      create trigger goals_frozen_${event} before ${event} on goals when ${frozen}
      begin select raise(abort, 'the goals of a version that was approved or discarded are frozen'); end`,
  ),
];
