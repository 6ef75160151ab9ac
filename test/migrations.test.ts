/** A database that stands at an earlier migration, with rows in it, keeps them. */
import { randomUUIDv7 } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MIGRATIONS_TABLE } from '../src/persistence/dialects/dialect.ts';
import { dialectOf } from '../src/persistence/dialects/dialects.ts';
import { migrate } from '../src/persistence/migrate.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { newIep, YEAR } from './support/samples.ts';
import { startInProcess } from './support/service.ts';
import type { Row, TestDatabase } from './support/sql.ts';

/** Runs the first `count` migrations and no more. */
async function migrateSome(database: TestDatabase, count: number): Promise<void> {
  const { migrations, migrationColumns } = dialectOf(database.url);
  await database.query(`create table ${MIGRATIONS_TABLE} (${migrationColumns})`);
  for (const { name, class: Kind } of migrations.slice(0, count)) {
    const migration = new Kind(undefined, undefined);
    await migration.up();
    for (const sql of migration.getQueries!() as string[]) {
      await database.query(sql);
    }
    await database.query(`insert into ${MIGRATIONS_TABLE} (name) values (?)`, name);
  }
}

describeOnBoth('a database at migration 0001', (backend) => {
  const studentId = randomUUIDv7();
  const iepIds = [randomUUIDv7(), randomUUIDv7()];
  const time = backend.instant(new Date('2025-09-01T12:00:00.123Z'));
  let database: TestDatabase;

  const insert = (table: string, row: Row) =>
    database.query(
      `insert into ${table} (${Object.keys(row).join()}) values (${Object.keys(row).fill('?').join()})`,
      ...Object.values(row),
    );
  const rowsOf = (table: string) => database.query(`select * from ${table} order by id`);

  beforeEach(async () => {
    database = await backend.createBare();
    await migrateSome(database, 1);
    const district = { district_id: 'default' };
    const times = { create_time: time, update_time: time, row_version: 1 };
    const names = { given_name: 'Ada', family_name: 'L', given_name_folded: 'ada', family_name_folded: 'l' };
    await insert('students', {
      ...district,
      ...names,
      ...times,
      id: studentId,
      student_number: 'S-1',
      disabilities: '[]',
    });
    const event = {
      ...district,
      request_index: 0,
      actor: 'x',
      event_time: time,
      student_id: studentId,
      row_version: 1,
    };
    await insert('events', { ...event, id: randomUUIDv7(), rpc: 'CreateStudent', changed_paths: '[]' });
    for (const [index, id] of iepIds.entries()) {
      await insert('ieps', {
        ...district,
        ...times,
        id,
        student_id: studentId,
        academic_year: YEAR,
        version: index + 1,
        parent_version_id: iepIds[index - 1] ?? null,
        kind: 'ANNUAL',
        status: 'DRAFT',
        content: `{"b": 1.50, "a": [${index}]}`,
        review_date: '2026-01-14',
        created_by: 'teacher',
        revision: 1,
      });
      for (const [position, goal_key] of ['reading', 'writing'].entries()) {
        const texts = { goal_text: 'Reads', baseline: '', target_criteria: '', measurement_method: '' };
        await insert('goals', { ...district, ...texts, id: randomUUIDv7(), iep_id: id, position, goal_key });
      }
      await insert('events', { ...event, id: randomUUIDv7(), rpc: 'CreateIep', iep_id: id, changed_paths: '[]' });
    }
  });
  afterEach(async () => {
    await expectInvariants(database);
    await database.drop();
  });

  it('keeps its rows, and every goal begins a lineage', async () => {
    const tables = ['students', 'ieps', 'goals', 'events'];
    const before = await Promise.all(tables.map(rowsOf));
    await migrate(database.url);
    const [students, ieps, goals, events] = await Promise.all(tables.map(rowsOf));
    const added = { based_on_iep_id: null, approved_by: null, approve_time: null, content_sha256: null };
    expect(students).toEqual(before[0]);
    expect(ieps).toEqual(before[1]!.map((row) => ({ ...row, ...added })));
    expect(goals).toEqual(before[2]!.map((row) => ({ ...row, lineage_id: row['id'] })));
    expect(events).toEqual(before[3]);
  });

  it('goes on with its chains', async () => {
    const service = await startInProcess(database.url, { MIGRATE: 'auto' });
    try {
      const chain = { studentId, academicYear: YEAR };
      const { iep } = await service.client.getLatestIep(chain);
      expect(iep).toMatchObject({ id: iepIds[1], version: 2, content: { a: [1], b: 1.5 }, basedOnIepId: '' });
      expect(iep!.goals.map(({ goalKey }) => goalKey)).toEqual(['reading', 'writing']);
      expect(await newIep(service.client, studentId)).toMatchObject({ version: 3, parentVersionId: iepIds[1] });
    } finally {
      await service.stop();
    }
  });
});
