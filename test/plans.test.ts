/** Which index PostgreSQL reads for the statements of every creation: one row by its whole key, however many there are. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headsQuery } from '../src/iep/allocate-version.ts';
import { dialectOf } from '../src/persistence/dialects/dialects.ts';
import { postgresql } from './support/databases.ts';
import type { TestDatabase } from './support/sql.ts';

const STATEMENTS = [
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
];

const SAMPLE: Record<string, string> = { text: `'x'`, uuid: 'gen_random_uuid()', integer: '1' };

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

  it.each(STATEMENTS)('$what is one row of $index', async ({ sql, types, index }) => {
    await database.query(`prepare probe (${types.join(', ')}) as ${sql}`);
    const plan = await database.query(`explain execute probe (${types.map((type) => SAMPLE[type]).join(', ')})`);
    await database.query('deallocate probe');
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).toContain(`${index} on`);
    // Every parameter is in the index condition, and nothing is filtered afterwards.
    expect(/Index Cond: .*/.exec(text)?.[0].match(/\$\d/g)).toHaveLength(types.length);
    expect(text).not.toContain('Filter:');
  });
});

describe('the heads of many chains', () => {
  it.each(['as it begins', 'analyzed'])('are a row each in a district %s', async (state) => {
    const database = await postgresql.create();
    await fill(database, 20_000);
    if (state === 'analyzed') {
      await database.query('analyze');
    }
    const students = await database.query('select district_id, id as student_id from students limit 64');
    const chains = students.map((student, position) => ({ ...student, academic_year: '2025-2026', position }));
    const plan = await database.query(
      `explain (analyze, format json) ${headsQuery(dialectOf(database.url).sql)}`,
      JSON.stringify(chains),
    );
    // Nowhere does the plan read more rows than there are chains.
    expect(Math.max(...readsOf(plan[0]!['QUERY PLAN']))).toBeLessThanOrEqual(chains.length);
    await database.drop();
  });
});

interface PlanNode {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Rows that each node of a plan has read. */
function readsOf(explained: unknown): number[] {
  const rows = (node: PlanNode): number[] => [
    (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
    ...(node.Plans ?? []).flatMap(rows),
  ];
  return (explained as { Plan: PlanNode }[]).flatMap(({ Plan }) => rows(Plan));
}

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
      create_time, update_time, revision, row_version)
    select 'default', gen_random_uuid(), id, year || '-' || year + 1, 1, 'ANNUAL', 'DRAFT', '{}', 'x', now(), now(), 1, 1
    from students, generate_series(2020, 2029) year`,
  );
}
