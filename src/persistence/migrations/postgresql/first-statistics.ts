/** A column of each table that can fill a page. */
const WIDE_COLUMNS = {
  students: 'disabilities',
  ieps: 'content',
  goals: 'goal_text',
  events: 'changed_paths',
  progress_notes: 'note',
};

/** The districts of the rows that the planner is shown; no real one has such an id. */
const SHOWN = `district_id like E'\\x01%'`;

const setDistricts = (option: string) =>
  Object.keys(WIDE_COLUMNS)
    .map((table) => `alter table ${table} alter column district_id ${option};`)
    .join('\n');

const setStorage = (storage: 'plain' | 'extended') =>
  Object.entries(WIDE_COLUMNS)
    .map(([table, column]) => `alter table ${table} alter column ${column} set storage ${storage};`)
    .join('\n');

/**
 * On tables without statistics the planner takes every index that starts with district_id for as good as the others, and a
 * session keeps the plan of its foreign-key checks: it would read whole districts until the first autovacuum. So it is
 * shown some rows. They take a page each, enough for an index to be worth it, and are too few to wake autovacuum when they
 * go: it counts less than 50 changes.
 *
 * No two rows are of one district, and yet the planner is told that there is only one. So it expects any district to hold
 * all rows, and reads by whole keys. Of a district that was shown to be everything, it would take every other for empty.
 *
 * An index that is made on an empty table sets its row count to 0 and undoes this, so it belongs after the last index.
 */
export const FIRST_STATISTICS = `
  ${setStorage('plain')}
  ${setDistricts('set (n_distinct = 1)')}

  insert into students (district_id, id, student_number, given_name, family_name, given_name_folded, family_name_folded,
    disabilities, create_time, update_time, row_version)
  select E'\\x01' || n, gen_random_uuid(), n, n, n, n, n, to_jsonb(repeat('x', 7000)), now(), now(), 1
  from generate_series(1, 20) n;

  insert into ieps (district_id, id, student_id, academic_year, version, kind, status, content, created_by, create_time,
    update_time, revision, row_version)
  select district_id, id, id, '2000-2001', 1, 'INITIAL', 'DRAFT', to_json(repeat('x', 7000)), '', now(), now(), 1, 1
  from students where ${SHOWN};

  insert into goals (district_id, id, iep_id, lineage_id, position, goal_key, goal_text, baseline, target_criteria,
    measurement_method)
  select district_id, id, id, id, 0, 'x', repeat('x', 7000), '', '', ''
  from ieps where ${SHOWN};

  insert into progress_notes (district_id, id, lineage_id, iep_id, note, recorded_by, record_time)
  select district_id, id, id, id, repeat('x', 7000), '', now() from ieps where ${SHOWN};

  insert into events (district_id, id, rpc, request_id, request_index, request_hash, actor, event_time, student_id,
    row_version, changed_paths)
  select district_id, id, id::text, id, 0, '', '', now(), id, 1, to_jsonb(repeat('x', 7000))
  from ieps where ${SHOWN};

  analyze students, ieps, goals, events, progress_notes;
  delete from progress_notes where ${SHOWN};
  delete from events where ${SHOWN};
  delete from goals where ${SHOWN};
  delete from ieps where ${SHOWN};
  delete from students where ${SHOWN};

  ${setStorage('extended')}
  ${setDistricts('reset (n_distinct)')}
`;
