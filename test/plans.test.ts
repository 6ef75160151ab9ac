/**
 * Which index PostgreSQL reads: for the statements of every change one row by its whole key, for lists a range in the order
 * of the list, however many rows there are.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askForHeads } from '../src/iep/allocate-version.ts';
import { dialectOf } from '../src/persistence/dialects/dialects.ts';
import { postgresql } from './support/databases.ts';
import { readsOf } from './support/plan.ts';
import type { TestDatabase } from './support/sql.ts';

interface Statement {
  readonly what: string;
  readonly sql: string;
  readonly types: readonly string[];
  readonly index: string;
  /** How many of the parameters are in the index condition; all by default. */
  readonly keys?: number;
}

const STATEMENTS: readonly Statement[] = [
  {
    what: 'the head of a chain',
    sql: `select id from ieps where district_id = $1 and student_id = $2 and academic_year = $3
      order by version desc limit 1`,
    types: ['text', 'uuid', 'text'],
    index: 'ieps_version_key',
  },
  {
    what: 'the request made before',
    sql: 'select id from events where district_id = $1 and rpc = $2 and request_id = $3',
    types: ['text', 'text', 'uuid'],
    index: 'events_request_key',
  },
  // The foreign-key checks, as PostgreSQL's ri_triggers.c writes them.
  {
    what: 'the check of the student',
    sql: 'select 1 from only students x where district_id = $1 and id = $2 for key share of x',
    types: ['text', 'uuid'],
    index: 'students_pkey',
  },
  {
    what: 'the check of the parent, and of the IEP of a goal',
    sql: 'select 1 from only ieps x where district_id = $1 and id = $2 for key share of x',
    types: ['text', 'uuid'],
    index: 'ieps_pkey',
  },
  {
    what: 'the check of the previous version',
    sql: `select 1 from only ieps x where district_id = $1 and student_id = $2 and academic_year = $3
      and version = $4 for key share of x`,
    types: ['text', 'uuid', 'text', 'integer'],
    index: 'ieps_version_key',
  },
  {
    what: 'the check of the event of a comment',
    sql: 'select 1 from only events x where district_id = $1 and id = $2 for key share of x',
    types: ['text', 'uuid'],
    index: 'events_pkey',
  },
  {
    what: 'the status of the IEP of a goal',
    sql: 'select status, xmin = pg_current_xact_id()::xid from ieps where district_id = $1 and id = $2',
    types: ['text', 'uuid'],
    index: 'ieps_pkey',
  },
  {
    what: 'the ACTIVE version of a student',
    sql: `select id from ieps where district_id = $1 and student_id = $2 and status = 'ACTIVE'`,
    types: ['text', 'uuid'],
    index: 'ieps_one_active_key',
  },
];

/** Pages of lists. Nobody keeps their plans, so an empty table does not matter. */
const PAGES: readonly Statement[] = [
  {
    what: 'the reviews that are due',
    sql: `select id from ieps where district_id = $1 and status = $2 and review_date < $3
      and (review_date, id) > ($4, $5) order by review_date, id limit 50`,
    types: ['text', 'text', 'date', 'date', 'uuid'],
    index: 'ieps_review_idx',
  },
  {
    what: 'the reviews that are due in an academic year',
    sql: `select id from ieps where district_id = $1 and status = $2 and review_date < $3 and academic_year = $4
      and (review_date, id) > ($5, $6) order by review_date, id limit 25`,
    types: ['text', 'text', 'date', 'text', 'date', 'uuid'],
    index: 'ieps_review_idx',
  },
  {
    what: 'versions by review date in every status',
    sql: `select id from (${['DRAFT', 'ACTIVE', 'SUPERSEDED']
      .map(
        (status, index) => `select * from (
        select review_date, id from ieps where district_id = $1 and status = '${status}' and review_date is not null
          and (review_date, id) > ($2, $3) order by review_date, id limit 50
      ) as range${index}`,
      )
      .join(' union all ')}) as ieps order by review_date, id limit 50`,
    types: ['text', 'date', 'uuid'],
    index: 'ieps_review_idx',
  },
  {
    what: 'which of them is the highest of its chain',
    sql: `select (
        select 1 from ieps as next where next.district_id = ieps.district_id and next.student_id = ieps.student_id
          and next.academic_year = ieps.academic_year and next.version = ieps.version + 1
      ) is null
      from (
        select * from ieps where district_id = $1 and status = $2 and review_date is not null
          and (review_date, id) > ($3, $4) order by review_date, id limit 500
      ) as ieps order by review_date, id limit 500`,
    types: ['text', 'text', 'date', 'uuid'],
    index: 'ieps_review_idx',
  },
  {
    what: 'versions without a review date',
    sql: `select id from ieps where district_id = $1 and status = $2 and review_date is null and id > $3
      order by id limit 50`,
    types: ['text', 'text', 'uuid'],
    index: 'ieps_no_review_idx',
  },
  {
    what: 'the feed of a district',
    sql: `select id from events where district_id = $1 and (xid, seq) > ($2, $3) order by xid, seq limit 50`,
    types: ['text', 'xid8', 'bigint'],
    index: 'events_feed_idx',
  },
  {
    what: 'the feed of a student',
    sql: `select id from events where district_id = $1 and student_id = $2 and (xid, seq) > ($3, $4)
      order by xid, seq limit 50`,
    types: ['text', 'uuid', 'xid8', 'bigint'],
    index: 'events_student_idx',
  },
  {
    what: 'the audit of an IEP',
    sql: `select id from events where district_id = $1 and student_id = $2 and iep_id = $3 and (xid, seq) > ($4, $5)
      order by xid, seq limit 50`,
    types: ['text', 'uuid', 'uuid', 'xid8', 'bigint'],
    index: 'events_student_idx',
  },
  {
    what: 'what changed in an IEP since it was read',
    sql: `select id from events where district_id = $1 and student_id = $2 and iep_id = $3
      and rpc <> 'RecordGoalProgress' and row_version > $4 order by row_version`,
    types: ['text', 'uuid', 'uuid', 'integer'],
    index: 'events_student_idx',
    // The rest is picked among the events of one IEP.
    keys: 3,
  },
  {
    what: 'the newest notes of a lineage',
    sql: `select id from progress_notes where district_id = $1 and lineage_id = $2 order by seq desc limit 100`,
    types: ['text', 'uuid'],
    index: 'progress_notes_lineage_idx',
  },
  {
    what: 'the last status of a lineage',
    sql: `select status from progress_notes where district_id = $1 and lineage_id = $2 and status is not null
      order by seq desc limit 1`,
    types: ['text', 'uuid'],
    index: 'progress_notes_status_idx',
  },
];

const SAMPLE: Record<string, string> = {
  text: `'x'`,
  uuid: 'gen_random_uuid()',
  integer: '1',
  bigint: '1',
  xid8: `'1'`,
  date: `'2026-01-01'`,
};

describe.each([0, 100_000])('with %i versions', (versions) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await postgresql.create();
    // Foreign keys are checked by prepared statements, whose plans must not depend on the values.
    await database.query('set plan_cache_mode = force_generic_plan');
    if (versions > 0) {
      await fill(database, versions);
      await database.query('analyze');
    }
  });
  afterAll(() => database.drop());

  it.each(versions === 0 ? STATEMENTS : [...STATEMENTS, ...PAGES])(
    '$what by the whole key of $index',
    async ({ sql, types, index, keys = types.length }: Statement) => {
      await database.query(`prepare probe (${types.join(', ')}) as ${sql}`);
      const plan = await database.query(`explain execute probe (${types.map((type) => SAMPLE[type]).join(', ')})`);
      await database.query('deallocate probe');
      const text = plan.map((row) => row['QUERY PLAN']).join('\n');
      expect(text).toContain(`${index} on`);
      // Every key is in the index condition, and where that is every parameter nothing is filtered afterwards.
      expect(/Index Cond: .*/.exec(text)?.[0].match(/\$\d/g)).toHaveLength(keys);
      expect(text.includes('Filter:')).toBe(keys < types.length);
    },
  );
});

describe('the heads of many chains', () => {
  it.each(['as it begins', 'analyzed'])('are a row each in a district %s', async (state) => {
    const database = await postgresql.create();
    await fill(database, 20_000);
    if (state === 'analyzed') {
      await database.query('analyze');
    }
    const students = await database.query('select district_id, id from students limit 64');
    const chains = students.map(({ district_id: districtId, id }) => ({
      districtId: String(districtId),
      studentId: String(id),
      academicYear: '2025-2026',
    }));
    const { sql, params } = askForHeads(dialectOf(database.url).sql, chains);
    const plan = await database.query(`explain (analyze, format json) ${sql}`, ...params);
    // Nowhere does the plan read more rows than there are chains.
    expect(Math.max(...readsOf(plan[0]!['QUERY PLAN']))).toBeLessThanOrEqual(chains.length);
    await database.drop();
  });
});

/** As the service and the ORM write them, of versions that share a unit of work. */
const TOGETHER: Record<string, (ids: string) => string> = {
  'the versions': (ids) => `select * from ieps where district_id = 'default' and id in (${ids})`,
  'the locks of the versions': (ids) =>
    `select id from ieps where district_id = 'default' and id in (${ids}) order by id for no key update`,
  'the goals': (ids) => `select * from goals where (district_id = 'default' and iep_id in (${ids}))`,
  'the change of the versions': (ids) =>
    `update ieps set row_version = 2 where (district_id, id) in (${ids.replaceAll(/'[^']+'/g, "('default', $&)")})`,
};

describe('changes that share a unit of work', () => {
  it.each(['as it begins', 'analyzed'])('look up what they are about by whole keys in a district %s', async (state) => {
    const database = await postgresql.create();
    await fill(database, 20_000);
    if (state === 'analyzed') {
      await database.query('analyze');
    }
    const rows = await database.query(`select id from ieps where status = 'DRAFT' limit 64`);
    const ids = rows.map(({ id }) => `'${String(id)}'`).join(', ');
    for (const sql of Object.values(TOGETHER)) {
      const plan = await database.query(`explain (analyze, format json) ${sql(ids)}`);
      expect(Math.max(...readsOf(plan[0]!['QUERY PLAN']))).toBeLessThanOrEqual(rows.length);
    }
    await database.drop();
  });
});

it('saves find room in the pages of their versions, and so write no index', async () => {
  const database = await postgresql.create();
  await fill(database, 20_000);
  const pages = async () => {
    const rows = await database.query(
      `select ctid::text as place from ieps where status = 'DRAFT' order by id limit 500`,
    );
    return rows.map(({ place }) => /\d+/.exec(String(place))![0]);
  };
  const before = await pages();
  await database.query(
    `update ieps set content = '{"a": 1}', revision = 2, row_version = 2, update_time = now()
    where id in (select id from ieps where status = 'DRAFT' order by id limit 500)`,
  );
  const after = await pages();
  expect(after.filter((page, index) => page === before[index]).length).toBeGreaterThan(450);
  await database.drop();
});

/** Ten chains for each student, of one version. */
async function fill(database: TestDatabase, versions: number): Promise<void> {
  await database.query(
    `insert into students (district_id, id, student_number, given_name, family_name, given_name_folded,
      family_name_folded, disabilities, create_time, update_time, row_version)
    select 'default', gen_random_uuid(), n::text, 'A', 'B', 'A', 'B', '[]', now(), now(), 1
    from generate_series(1, ${versions / 10}) n`,
  );
  await database.query(
    `insert into ieps (district_id, id, student_id, academic_year, version, kind, status, content, created_by,
      create_time, update_time, revision, row_version, review_date)
    select 'default', gen_random_uuid(), id, year || '-' || year + 1, 1, 'ANNUAL',
      case year when 2028 then 'ACTIVE' when 2029 then 'DRAFT' else 'SUPERSEDED' end, '{}', 'x', now(), now(), 1, 1,
      case when year < 2029 then make_date(year, 1, 1) + (random() * 365)::integer end
    from students, generate_series(2020, 2029) year`,
  );
  await database.query(
    `insert into events (district_id, id, rpc, request_id, request_hash, request_index, actor, event_time, student_id,
      iep_id, row_version, changed_paths)
    select district_id, gen_random_uuid(), 'CreateIep', id, 'x', 0, 'x', now(), student_id, id, 1, '[]' from ieps`,
  );
  await database.query(
    `insert into progress_notes (district_id, id, lineage_id, iep_id, note, recorded_by, record_time)
    select district_id, gen_random_uuid(), id, id, 'x', 'x', now() from ieps, generate_series(1, 2)`,
  );
}
