import { Migration } from '@mikro-orm/migrations';

/** The same tables as on PostgreSQL. Instants are integers, milliseconds since 1970; days and JSON are text. */
export class Initial extends Migration {
  override up(): void {
    this.addSql(`
      create table students (
        district_id text not null,
        id text not null,
        student_number text not null check (length(student_number) between 1 and 50),
        given_name text not null check (length(given_name) between 1 and 100),
        family_name text not null check (length(family_name) between 1 and 100),
        given_name_folded text not null,
        family_name_folded text not null,
        birth_date text check (birth_date is date(birth_date)),
        grade_level text check (
          grade_level in ('PK', 'K', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', 'AGE_OUT')),
        disabilities text not null check (json_valid(disabilities)),
        create_time integer not null,
        update_time integer not null,
        row_version integer not null check (row_version >= 1),
        primary key (district_id, id),
        constraint students_student_number_key unique (district_id, student_number)
      ) strict`);
    this.addSql('create index students_name_idx on students (district_id, family_name_folded, given_name_folded, id)');

    // ieps_version_key is the truth of the numbering, and ieps_no_gap_fkey makes the database itself refuse a gap: version
    // N needs the row of N - 1.
    this.addSql(`
      create table ieps (
        district_id text not null,
        id text not null,
        student_id text not null,
        academic_year text not null check (
          academic_year glob '[0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9]'
          and cast(substr(academic_year, 6) as integer) = cast(substr(academic_year, 1, 4) as integer) + 1),
        version integer not null check (version >= 1),
        previous_version integer generated always as (nullif(version - 1, 0)) stored,
        parent_version_id text,
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
        revision integer not null check (revision >= 1),
        row_version integer not null check (row_version >= 1),
        primary key (district_id, id),
        constraint ieps_version_key unique (district_id, student_id, academic_year, version),
        constraint ieps_parent_check check ((version = 1) = (parent_version_id is null)),
        constraint ieps_review_check check (review_date >= effective_date),
        constraint ieps_student_fkey foreign key (district_id, student_id) references students (district_id, id),
        constraint ieps_parent_fkey foreign key (district_id, parent_version_id) references ieps (district_id, id),
        constraint ieps_no_gap_fkey foreign key (district_id, student_id, academic_year, previous_version)
          references ieps (district_id, student_id, academic_year, version)
      ) strict`);

    this.addSql(`
      create table goals (
        district_id text not null,
        id text not null,
        iep_id text not null,
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
        constraint goals_iep_fkey foreign key (district_id, iep_id) references ieps (district_id, id)
      ) strict`);

    // One writer at a time, so seq alone orders the feed; autoincrement never hands a number out again.
    this.addSql(`
      create table events (
        seq integer primary key autoincrement,
        district_id text not null,
        id text not null,
        rpc text not null,
        request_id text,
        request_index integer not null check (request_index >= 0),
        request_hash text,
        actor text not null,
        event_time integer not null,
        student_id text not null,
        iep_id text,
        from_status text,
        to_status text,
        row_version integer not null,
        changed_paths text not null check (json_valid(changed_paths)),
        content_sha256 text,
        constraint events_id_key unique (district_id, id),
        constraint events_request_check check ((request_id is null) = (request_hash is null))
      ) strict`);
    this.addSql(`create unique index events_request_key on events (district_id, rpc, request_id, request_index)
      where request_id is not null`);
  }
}
