import { Migration } from '@mikro-orm/migrations';

export class Initial extends Migration {
  override up(): void {
    this.addSql(`
      create table students (
        district_id text not null,
        id uuid not null,
        student_number text not null check (char_length(student_number) between 1 and 50),
        given_name text not null check (char_length(given_name) between 1 and 100),
        family_name text not null check (char_length(family_name) between 1 and 100),
        given_name_folded text collate "C" not null,
        family_name_folded text collate "C" not null,
        birth_date date,
        grade_level text check (grade_level ~ '^(PK|K|[1-9]|1[0-2]|AGE_OUT)$'),
        disabilities jsonb not null,
        create_time timestamptz(3) not null,
        update_time timestamptz(3) not null,
        row_version integer not null check (row_version >= 1),
        primary key (district_id, id),
        constraint students_student_number_key unique (district_id, student_number)
      )`);
    this.addSql('create index students_name_idx on students (district_id, family_name_folded, given_name_folded, id)');

    // ieps_version_key is the truth of the numbering, and ieps_no_gap_fkey makes the database itself refuse a gap: version
    // N needs the row of N - 1. No other unique key may start with the same columns, or the planner picks it for the
    // foreign-key checks and reads the whole history.
    this.addSql(`
      create table ieps (
        district_id text not null,
        id uuid not null,
        student_id uuid not null,
        academic_year text not null check (
          academic_year ~ '^[0-9]{4}-[0-9]{4}$'
          and substr(academic_year, 6)::integer = substr(academic_year, 1, 4)::integer + 1),
        version integer not null check (version >= 1),
        previous_version integer generated always as (nullif(version - 1, 0)) stored,
        parent_version_id uuid,
        kind text not null check (
          kind in ('INITIAL', 'ANNUAL', 'REEVALUATION', 'AMENDMENT', 'CORRECTION', 'TRANSFER')),
        status text not null check (
          status in ('DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED')),
        content json not null,
        meeting_date date,
        effective_date date,
        review_date date,
        created_by text not null,
        create_time timestamptz(3) not null,
        update_time timestamptz(3) not null,
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
      )`);

    this.addSql(`
      create table goals (
        district_id text not null,
        id uuid not null,
        iep_id uuid not null,
        position integer not null check (position >= 0),
        goal_key text not null check (goal_key ~ '^[A-Za-z0-9_-]{1,64}$'),
        domain text check (domain in ('READING', 'WRITING', 'MATH', 'COMMUNICATION', 'SOCIAL_EMOTIONAL', 'BEHAVIOR',
          'ADAPTIVE', 'MOTOR', 'VOCATIONAL_TRANSITION', 'ATTENTION_EXECUTIVE', 'SENSORY', 'OTHER')),
        goal_text text not null check (goal_text <> ''),
        baseline text not null,
        target_criteria text not null,
        measurement_method text not null,
        measurement_frequency text check (
          measurement_frequency in ('WEEKLY', 'BIWEEKLY', 'MONTHLY', 'QUARTERLY', 'TERM')),
        start_date date,
        target_date date,
        primary key (district_id, id),
        constraint goals_goal_key_key unique (district_id, iep_id, goal_key),
        constraint goals_target_check check (target_date >= start_date),
        constraint goals_iep_fkey foreign key (district_id, iep_id) references ieps (district_id, id)
      )`);

    // xid and seq order the feed: transactions become visible out of the order in which their rows were numbered.
    this.addSql(`
      create table events (
        district_id text not null,
        id uuid not null,
        xid xid8 not null default pg_current_xact_id(),
        seq bigint not null generated always as identity,
        rpc text not null,
        request_id uuid,
        request_index integer not null check (request_index >= 0),
        request_hash text,
        actor text not null,
        event_time timestamptz(3) not null,
        student_id uuid not null,
        iep_id uuid,
        from_status text,
        to_status text,
        row_version integer not null,
        changed_paths jsonb not null,
        content_sha256 text,
        primary key (district_id, id),
        constraint events_request_check check ((request_id is null) = (request_hash is null))
      )`);
    this.addSql(`create unique index events_request_key on events (district_id, rpc, request_id, request_index)
      where request_id is not null`);
  }
}
