import { Migration } from '@mikro-orm/migrations';
import { FIRST_STATISTICS } from './first-statistics.ts';

/** Review, approval, progress and audit: what they keep, and what keeps approved versions as they are. */
export class Lifecycle extends Migration {
  override up(): void {
    this.addSql(`
      alter table ieps
        add column based_on_iep_id uuid,
        add column approved_by text,
        add column approve_time timestamptz(3),
        add column content_sha256 text check (content_sha256 ~ '^[0-9a-f]{64}$'),
        add constraint ieps_approval_check check (num_nulls(approved_by, approve_time, content_sha256) in (0, 3)),
        add constraint ieps_based_on_fkey foreign key (district_id, based_on_iep_id) references ieps (district_id, id)`);
    // Partial, so that the planner cannot take them for the checks of foreign keys.
    this.addSql(`create unique index ieps_one_active_key on ieps (district_id, student_id) where status = 'ACTIVE'`);
    // A district's versions by review_date, and those without one. At their end the academic_year, so that versions of other
    // years are passed over in the index.
    this.addSql(`create index ieps_review_idx on ieps (district_id, status, review_date, id, academic_year)
      where review_date is not null`);
    this.addSql(`create index ieps_no_review_idx on ieps (district_id, status, id, academic_year)
      where review_date is null`);

    // A goal and those that carry it on have one lineage; progress belongs to it.
    this.addSql('alter table goals add column lineage_id uuid');
    this.addSql('update goals set lineage_id = id');
    this.addSql('alter table goals alter column lineage_id set not null');

    this.addSql(`
      create table progress_notes (
        district_id text not null,
        id uuid not null,
        seq bigint not null generated always as identity,
        lineage_id uuid not null,
        iep_id uuid not null,
        status text check (status in ('NOT_STARTED', 'IN_PROGRESS', 'MASTERED', 'DISCONTINUED')),
        note text not null,
        recorded_by text not null,
        record_time timestamptz(3) not null,
        primary key (district_id, id),
        constraint progress_notes_check check (status is not null or note <> ''),
        constraint progress_notes_iep_fkey foreign key (district_id, iep_id) references ieps (district_id, id)
      )`);
    this.addSql('create index progress_notes_lineage_idx on progress_notes (district_id, lineage_id, seq)');
    // The last status may lie far behind many notes without one.
    this.addSql(`create index progress_notes_status_idx on progress_notes (district_id, lineage_id, seq)
      where status is not null`);

    // The feed of a district and of a student; an IEP's events are picked out of its student's in the index.
    this.addSql('create index events_feed_idx on events (district_id, xid, seq)');
    this.addSql('create index events_student_idx on events (district_id, student_id, xid, seq, iep_id)');

    this.addSql(FIRST_STATISTICS);

    // What was said of a change. Not in its event: events hold no personal values.
    this.addSql(`
      create table event_comments (
        district_id text not null,
        event_id uuid not null,
        comment text not null check (comment <> ''),
        primary key (district_id, event_id),
        constraint event_comments_event_fkey foreign key (district_id, event_id) references events (district_id, id)
          deferrable initially deferred
      )`);

    // Tells this database from others, for those who keep a place in its feed.
    this.addSql('create table database_identity (id uuid primary key)');
    this.addSql('insert into database_identity values (gen_random_uuid())');

    FREEZE.forEach((statement) => this.addSql(statement));
    APPEND_ONLY.forEach((table) =>
      this.addSql(`
        create trigger ${table}_append_only before update or delete on ${table} for each row
        execute function refuse_change('rows of ${table} are never changed or deleted')`),
    );
    ['ieps', 'goals', ...APPEND_ONLY].forEach((table) =>
      this.addSql(`
        create trigger ${table}_kept before truncate on ${table}
        execute function refuse_change('${table} is never truncated')`),
    );
  }
}

const APPEND_ONLY = ['progress_notes', 'events', 'event_comments'];

/** From these on a version is as it is. */
export const FROZEN = `('APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED')`;
const STEPS = `(('APPROVED', 'ACTIVE'), ('APPROVED', 'DISCARDED'), ('ACTIVE', 'SUPERSEDED'), ('ACTIVE', 'ENDED'))`;
/** All but status, update_time and row_version. A value of type json can only be compared as text. */
const FROZEN_COLUMNS = [
  'district_id',
  'id',
  'student_id',
  'academic_year',
  'version',
  'parent_version_id',
  'based_on_iep_id',
  'kind',
  'content::text',
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

/** The messages name no row and no value: they may reach a log. */
const FREEZE = [
  `create function refuse_change() returns trigger language plpgsql as $$
  begin
    raise exception using errcode = 'integrity_constraint_violation', message = tg_argv[0];
  end $$`,

  `create trigger ieps_frozen before update on ieps for each row
  when (old.status in ${FROZEN} and (
    (new.status <> old.status and (old.status, new.status) not in ${STEPS})
    or ${FROZEN_COLUMNS.map((column) => `new.${column} is distinct from old.${column}`).join(' or ')}))
  execute function refuse_change('a version that was approved or discarded is frozen')`,

  `create trigger ieps_frozen_delete before delete on ieps for each row when (old.status in ${FROZEN})
  execute function refuse_change('a version that was approved or discarded is frozen')`,

  // Whoever changes goals holds their IEP's row until the end of the transaction, so an approval under way is waited for,
  // and seen. That is not needed of a row that this very transaction wrote: nobody else can have it.
  `create function refuse_goals_of_frozen_ieps() returns trigger language plpgsql as $$
  declare
    place record;
    iep record;
  begin
    for place in select distinct district_id, iep_id from changed order by district_id, iep_id loop
      select status, xmin = pg_current_xact_id()::xid as own into iep
      from ieps where district_id = place.district_id and id = place.iep_id;
      if not iep.own then
        select status into iep
        from ieps where district_id = place.district_id and id = place.iep_id for no key update;
      end if;
      if iep.status in ${FROZEN} then
        raise exception using errcode = 'integrity_constraint_violation',
          message = 'the goals of a version that was approved or discarded are frozen';
      end if;
    end loop;
    return null;
  end $$`,

  ...[
    ['insert', 'new'],
    ['update', 'old'],
    ['update', 'new'],
    ['delete', 'old'],
  ].map(
    ([event, rows]) => `
      create trigger goals_frozen_${event}_${rows} after ${event} on goals referencing ${rows} table as changed
      for each statement execute function refuse_goals_of_frozen_ieps()`,
  ),
];
