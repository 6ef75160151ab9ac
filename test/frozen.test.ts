/** What the database itself refuses: changes of approved versions, of their goals, and of what is only ever added. */
import { randomUUIDv7 } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants, postgresql } from './support/databases.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { type RunningService, startInProcess } from './support/service.ts';
import { connectPostgreSql, type TestDatabase } from './support/sql.ts';

const FROZEN = /frozen/;
const GOAL = { goalKey: 'reading', goalText: 'Reads 90 words a minute' };

async function draftOf(service: RunningService, studentId: string): Promise<Iep> {
  const { iep } = await service.client.createIep({ studentId, academicYear: YEAR, content: { a: 1 }, goals: [GOAL] });
  return iep!;
}

describeOnBoth('the database', (backend) => {
  const now = backend.instant(new Date());
  let database: TestDatabase;
  let service: RunningService;
  let studentId: string;

  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url);
    studentId = await newStudent(service.client);
  });
  afterEach(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const setStatus = (id: string, status: string) =>
    database.query('update ieps set status = ?, row_version = row_version + 1 where id = ?', status, id);

  async function iepIn(status: string): Promise<Iep> {
    const iep = await draftOf(service, studentId);
    if (status !== 'DISCARDED') {
      await database.query(
        `update ieps set status = 'APPROVED', approved_by = 'principal', approve_time = ?, content_sha256 = ? where id = ?`,
        now,
        'a'.repeat(64),
        iep.id,
      );
    }
    if (status === 'SUPERSEDED' || status === 'ENDED') {
      await setStatus(iep.id, 'ACTIVE');
    }
    await setStatus(iep.id, status);
    return iep;
  }

  /** Columns of a version, with an expression for another value. */
  const COLUMNS = {
    district_id: `'elsewhere'`,
    id: `'${randomUUIDv7()}'`,
    student_id: `'${randomUUIDv7()}'`,
    academic_year: `'2030-2031'`,
    version: 'version + 1',
    parent_version_id: 'id',
    based_on_iep_id: 'id',
    kind: `'CORRECTION'`,
    content: `'{"a": 2}'`,
    meeting_date: `'2026-01-01'`,
    effective_date: `'2026-01-01'`,
    review_date: `'2026-01-01'`,
    created_by: `'somebody'`,
    create_time: 'update_time',
    approved_by: `'somebody'`,
    approve_time: 'update_time',
    content_sha256: `'${'b'.repeat(64)}'`,
    revision: 'revision + 1',
  };
  const STATUSES = ['APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED'];

  it.each(STATUSES)('keeps a version that is %s', async (status) => {
    const { id } = await iepIn(status);
    const later = backend.instant(new Date(Date.now() + 1000));
    await database.query('update ieps set update_time = ?, row_version = row_version + 1 where id = ?', later, id);
    const before = await database.query('select * from ieps');
    for (const [column, value] of Object.entries(COLUMNS)) {
      const attack = `update ieps set ${column} = ${value} where id = ?`;
      await expect(database.query(attack, id)).rejects.toThrow(FROZEN);
    }
    await expect(database.query('delete from ieps where id = ?', id)).rejects.toThrow(FROZEN);
    expect(await database.query('select * from ieps')).toEqual(before);
  });

  it.each([
    ['APPROVED', ['ACTIVE', 'DISCARDED']],
    ['ACTIVE', ['SUPERSEDED', 'ENDED']],
    ['SUPERSEDED', []],
    ['ENDED', []],
    ['DISCARDED', []],
  ])('lets %s become nothing but %j', async (from, allowed) => {
    const { id } = await iepIn(from);
    const others = new Set([...STATUSES, 'DRAFT', 'UNDER_REVIEW', 'RETURNED']).difference(new Set([from, ...allowed]));
    for (const to of others) {
      await expect(setStatus(id, to)).rejects.toThrow(FROZEN);
    }
    for (const to of allowed) {
      await database.query('begin');
      await setStatus(id, to);
      await database.query('rollback');
    }
  });

  it.each(STATUSES)('keeps the goals of a version that is %s', async (status) => {
    const draft = await draftOf(service, studentId);
    const { id, goals } = await iepIn(status);
    const before = await database.query('select * from goals order by id');
    const goalId = goals[0]!.id;
    const added = `insert into goals (district_id, id, iep_id, lineage_id, position, goal_key, goal_text, baseline,
      target_criteria, measurement_method) values ('default', ?, ?, ?, 1, 'x', 'Secret text', '', '', '')`;
    const attacks = [
      () => database.query(added, randomUUIDv7(), id, randomUUIDv7()),
      () => database.query(`update goals set goal_text = 'Secret text' where id = ?`, goalId),
      () => database.query('delete from goals where id = ?', goalId),
      // Out of the frozen version, into it, and hidden among rows that may change.
      () => database.query(`update goals set goal_key = 'x', iep_id = ? where id = ?`, draft.id, goalId),
      () => database.query(`update goals set goal_key = 'x', iep_id = ? where id = ?`, id, draft.goals[0]!.id),
      () => database.query(`update goals set baseline = 'Secret text'`),
      () => database.query('delete from goals'),
    ];
    for (const attack of attacks) {
      const refusal: unknown = await attack().catch((error: unknown) => error);
      expect(refusal).toMatchObject({ message: expect.stringMatching(FROZEN) });
      // PostgreSQL's errors may carry the row.
      expect(JSON.stringify(refusal)).not.toMatch(/Secret|Reads/);
    }
    expect(await database.query('select * from goals order by id')).toEqual(before);
  });

  it.each(['DRAFT', 'RETURNED', 'UNDER_REVIEW'])('lets a version that is %s, and its goals, change', async (status) => {
    const { id, goals } = await draftOf(service, studentId);
    await setStatus(id, status);
    await database.query(`update ieps set content = '{"b":2}', review_date = '2026-01-01' where id = ?`, id);
    await database.query(`update goals set baseline = 'new' where id = ?`, goals[0]!.id);
    await database.query('delete from goals where id = ?', goals[0]!.id);
    expect((await service.client.getIep({ iepId: id })).iep).toMatchObject({ content: { b: 2 }, goals: [] });
  });

  it('has all of an approval or none of it', async () => {
    const { id } = await draftOf(service, studentId);
    for (const part of [`approved_by = 'x'`, `content_sha256 = '${'a'.repeat(64)}'`]) {
      await expect(database.query(`update ieps set ${part} where id = ?`, id)).rejects.toThrow(/check/i);
    }
  });

  it('has one ACTIVE version of a student', async () => {
    await iepIn('ACTIVE');
    const { id } = await iepIn('APPROVED');
    await expect(setStatus(id, 'ACTIVE')).rejects.toThrow(/unique/i);
    const other = await iepIn('APPROVED');
    await setStatus(other.id, 'DISCARDED');
  });

  it('has no base that is not there', async () => {
    const { id } = await draftOf(service, studentId);
    const attack = database.query('update ieps set based_on_iep_id = ? where id = ?', randomUUIDv7(), id);
    await expect(attack).rejects.toThrow(/foreign key/i);
  });

  it('only adds events, comments and progress notes', async () => {
    const { id } = await draftOf(service, studentId);
    await database.query(
      `insert into event_comments (district_id, event_id, comment) select district_id, id, 'x' from events`,
    );
    await database.query(
      `insert into progress_notes (district_id, id, lineage_id, iep_id, note, recorded_by, record_time)
      select district_id, id, ?, iep_id, 'x', 'x', ? from events where iep_id = ?`,
      randomUUIDv7(),
      now,
      id,
    );
    for (const table of ['events', 'event_comments', 'progress_notes']) {
      const before = await database.query(`select * from ${table}`);
      expect(before).not.toHaveLength(0);
      for (const attack of [`update ${table} set district_id = district_id`, `delete from ${table}`]) {
        await expect(database.query(attack)).rejects.toThrow(/never changed or deleted/);
      }
      expect(await database.query(`select * from ${table}`)).toEqual(before);
    }
  });
});

describe('PostgreSQL', () => {
  let database: TestDatabase;
  let other: TestDatabase;
  let service: RunningService;
  let iep: Iep;

  beforeEach(async () => {
    database = await postgresql.create();
    other = connectPostgreSql(database.url);
    service = await startInProcess(database.url);
    iep = await draftOf(service, await newStudent(service.client));
  });
  afterEach(async () => {
    await service.stop();
    await other.drop();
    await expectInvariants(database);
    await database.drop();
  });

  const discard = (on: TestDatabase) => on.query(`update ieps set status = 'DISCARDED' where id = ?`, iep.id);
  const change = (on: TestDatabase) => on.query(`update goals set baseline = 'new' where iep_id = ?`, iep.id);
  const waiting = () => database.query('select 1 from pg_locks where not granted');

  it('lets no change of a goal slip past a change of status under way', async () => {
    await database.query('begin');
    await discard(database);
    const changed = Promise.allSettled([change(other)]);
    await expect.poll(waiting).not.toHaveLength(0);
    await database.query('commit');
    expect(await changed).toMatchObject([{ reason: { message: expect.stringMatching(FROZEN) } }]);
  });

  it('holds the IEP of a changed goal until the change is committed', async () => {
    await database.query('begin');
    await change(database);
    const discarded = discard(other);
    await expect.poll(waiting).not.toHaveLength(0);
    await database.query('commit');
    await discarded;
  });

  it.each(['ieps', 'goals', 'events', 'event_comments', 'progress_notes'])('never truncates %s', async (table) => {
    await expect(database.query(`truncate ${table} cascade`)).rejects.toThrow(/never truncated/);
  });
});
