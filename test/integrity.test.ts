import { randomUUID, randomUUIDv7 } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readNext } from '../src/iep/allocate-version.ts';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import { Iep } from '../src/persistence/entities.ts';
import type { SharedWork } from '../src/persistence/unit-of-work.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { createAtOnce, expectChain, infoOf, newIep, newStudent, YEAR } from './support/samples.ts';
import { failureOf, type RunningService, startInProcess } from './support/service.ts';
import type { Row, TestDatabase } from './support/sql.ts';

describeOnBoth('integrity', (backend) => {
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

  describe('is kept by the database itself', () => {
    /** Inserts a copy of a row with some columns changed, past the service. */
    async function insertCopy(table: string, id: string, changes: Row): Promise<void> {
      const [row] = await database.query(`select * from ${table} where id = ?`, id);
      const { previous_version: _generated, seq: _assigned, xid: _default, ...copy } = { ...row, ...changes };
      const names = Object.keys(copy);
      const values = Object.values(copy).map((value) =>
        value !== null && typeof value === 'object' && !(value instanceof Date) ? JSON.stringify(value) : value,
      );
      await database.query(
        `insert into ${table} (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
        ...values,
      );
    }

    it('refuses a version twice', async () => {
      const { id } = await newIep(service.client, studentId);
      await expect(insertCopy('ieps', id, { id: randomUUIDv7() })).rejects.toThrow(/unique/i);
    });

    it('refuses a gap', async () => {
      const { id } = await newIep(service.client, studentId);
      const gap = { id: randomUUIDv7(), version: 3, parent_version_id: id };
      await expect(insertCopy('ieps', id, gap)).rejects.toThrow(/foreign key/i);
    });

    it.each([
      ['a version without its parent', { version: 2 }],
      ['a parent of version 1', { academic_year: '2026-2027', parent_version_id: randomUUIDv7() }],
      ['a version below 1', { version: 0 }],
      ['years that are not consecutive', { academic_year: '2025-2027' }],
      ['years that are no numbers', { academic_year: '202x-202y' }],
      ['years of too many digits', { academic_year: '02025-2026' }],
      ['an unknown status', { status: 'LOST', academic_year: '2026-2027' }],
      ['an unknown kind', { kind: 'DRAFT', academic_year: '2026-2027' }],
    ])('refuses %s', async (_what, changes) => {
      const { id } = await newIep(service.client, studentId);
      await expect(insertCopy('ieps', id, { id: randomUUIDv7(), ...changes })).rejects.toThrow(/check/i);
    });

    it.each(['', 'a b', 'a\n', 'é', 'k'.repeat(65)])('refuses the goal key %j', async (goal_key) => {
      const chain = { studentId, academicYear: YEAR };
      const { iep } = await service.client.createIep({ ...chain, goals: [{ goalText: 'Reads' }] });
      const { id } = iep!.goals[0]!;
      const copy = { id: randomUUIDv7(), lineage_id: randomUUIDv7(), goal_key };
      await expect(insertCopy('goals', id, copy)).rejects.toThrow(/check/i);
      await insertCopy('goals', id, { ...copy, goal_key: `-_${'Az9'.repeat(20)}` });
    });

    it.each([
      ['ieps', { student_id: randomUUIDv7() }],
      ['ieps', { district_id: 'elsewhere' }],
    ])('refuses %s of a student who is not there', async (table, changes) => {
      const { id } = await newIep(service.client, studentId);
      await expect(insertCopy(table, id, { id: randomUUIDv7(), ...changes })).rejects.toThrow(/foreign key/i);
    });

    it('refuses a goal without its IEP, and two goals with one key', async () => {
      const { iep } = await service.client.createIep({
        studentId,
        academicYear: YEAR,
        goals: [{ goalKey: 'reading', goalText: 'Reads 90 words a minute' }],
      });
      const goalId = iep!.goals[0]!.id;
      const lost = { id: randomUUIDv7(), iep_id: randomUUIDv7() };
      await expect(insertCopy('goals', goalId, lost)).rejects.toThrow(/foreign key/i);
      await expect(insertCopy('goals', goalId, { id: randomUUIDv7() })).rejects.toThrow(/unique/i);
    });

    it('refuses a student number twice, and a missing name', async () => {
      await expect(insertCopy('students', studentId, { id: randomUUIDv7() })).rejects.toThrow(/unique/i);
      const nameless = { id: randomUUIDv7(), student_number: 'S-2', family_name: null };
      await expect(insertCopy('students', studentId, nameless)).rejects.toThrow(/null/i);
    });

    it('refuses a request twice', async () => {
      await service.client.createIep({ studentId, academicYear: YEAR, requestId: randomUUID() });
      const [event] = await database.query(`select id from events where rpc = 'CreateIep'`);
      await expect(insertCopy('events', String(event!['id']), { id: randomUUIDv7() })).rejects.toThrow(/unique/i);
    });

    it('refuses to lose a student who has an IEP', async () => {
      await newIep(service.client, studentId);
      await expect(database.query('delete from students where id = ?', studentId)).rejects.toThrow(/foreign key/i);
    });
  });

  describe('allocation in concurrent transactions', () => {
    let services: Database[];

    beforeEach(async () => {
      const options = { url: database.url, poolSize: 2, versionLock: 'advisory', migrate: 'off' } as const;
      services = await Promise.all(Array.from({ length: 8 }, () => openDatabase(options)));
    });
    afterEach(async () => {
      await Promise.all(services.map((db) => db.close()));
    });

    /** Allocates in a transaction of its own, so that only the database stands between it and the others. */
    async function allocate(index: number, fail = false): Promise<number> {
      const chain = { districtId: 'default', studentId, academicYear: YEAR };
      const call = { deadline: Date.now() + 50_000, signal: AbortSignal.timeout(50_000) };
      const alone: SharedWork<undefined, number> = {
        async run(unit) {
          const { em, now } = unit;
          const allocation = await readNext(unit, chain, now);
          em.create(Iep, {
            ...chain,
            ...allocation,
            id: randomUUIDv7(),
            kind: 'ANNUAL',
            status: 'DRAFT',
            content: {},
            createdBy: 'test',
            updateTime: allocation.createTime,
            revision: 1,
            rowVersion: 1,
          });
          await em.flush();
          if (fail) {
            throw new Error(`undo ${allocation.version}`);
          }
          return [{ value: allocation.version }];
        },
      };
      return services[index % services.length]!.inChain(chain, call, alone, undefined, 0);
    }

    afterEach(async () => {
      // These rows have no event; the invariants look at what the service writes.
      await database.query('delete from ieps where not exists (select 1 from events where iep_id = ieps.id)');
    });

    it('never hands out a number twice', async () => {
      const versions = await Promise.all(Array.from({ length: 40 }, (_, index) => allocate(index)));
      expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
    });

    it('leaves no gap where a transaction is rolled back', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 40 }, (_, index) => allocate(index, index % 3 === 0)),
      );
      expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(14);
      const rows = await database.query('select version from ieps order by version');
      expect(rows.map(({ version }) => version)).toEqual(Array.from({ length: 26 }, (_, index) => index + 1));
    });
  });

  describe('of chains', () => {
    it('gives every version its parent', async () => {
      expectChain(await createAtOnce([service.client], 15, studentId));
    });

    it('keeps students and years apart', async () => {
      const other = await newStudent(service.client);
      await newIep(service.client, studentId);
      await newIep(service.client, studentId);
      expect(await newIep(service.client, other)).toMatchObject({ version: 1, parentVersionId: '' });
      expect(await newIep(service.client, studentId, '2026-2027')).toMatchObject({ version: 1, parentVersionId: '' });
      expect(await newIep(service.client, studentId)).toMatchObject({ version: 3 });
    });

    it('knows the latest version: none, then 1, 2, 3', async () => {
      const chain = { studentId, academicYear: YEAR };
      const failure = await failureOf(service.client.getLatestIep(chain));
      expect([failure.code, infoOf(failure).reason]).toEqual([Code.NotFound, 'IEP_NOT_FOUND']);
      for (const version of [1, 2, 3]) {
        const { id } = await newIep(service.client, studentId);
        expect((await service.client.getLatestIep(chain)).iep).toMatchObject({ id, version });
      }
    });

    it('has a complete history, by year, then version', async () => {
      await createAtOnce([service.client], 12, studentId, '2026-2027');
      await createAtOnce([service.client], 13, studentId, '2025-2026');
      const history = [];
      for (let pageToken = ''; ;) {
        const page = await service.client.listIeps({ studentId, pageToken, pageSize: 7 });
        history.push(...page.ieps.map(({ academicYear, version }) => [academicYear, version]));
        pageToken = page.nextPageToken;
        if (pageToken === '') {
          break;
        }
      }
      expect(history).toEqual([
        ...Array.from({ length: 13 }, (_, index) => ['2025-2026', index + 1]),
        ...Array.from({ length: 12 }, (_, index) => ['2026-2027', index + 1]),
      ]);
    });
  });

  describe('of requests', () => {
    it('answers a repeated request with what the first one made', async () => {
      const request = { studentId, academicYear: YEAR, content: { a: 1 }, requestId: randomUUID() };
      const first = await service.client.createIep(request);
      await newIep(service.client, studentId);
      // Also in upper case: it is the same UUID.
      const again = await service.client.createIep({ ...request, requestId: request.requestId.toUpperCase() });
      expect(again.iep).toEqual(first.iep);
      expect(await database.query('select id from ieps')).toHaveLength(2);
    });

    it('makes one version of 20 copies at once', async () => {
      const request = { studentId, academicYear: YEAR, requestId: randomUUID(), expectedLatestVersion: 0 };
      const answers = await Promise.all(Array.from({ length: 20 }, () => service.client.createIep(request)));
      expect(new Set(answers.map(({ iep }) => iep?.id)).size).toBe(1);
      expect(await database.query('select id from ieps')).toHaveLength(1);
    });

    it('refuses a request id with another payload', async () => {
      const requestId = randomUUID();
      await service.client.createIep({ studentId, academicYear: YEAR, requestId });
      const failure = await failureOf(service.client.createIep({ studentId, academicYear: '2026-2027', requestId }));
      expect([failure.code, infoOf(failure).reason]).toEqual([Code.InvalidArgument, 'REQUEST_ID_REUSED']);
      expect(await database.query('select id from ieps')).toHaveLength(1);
    });

    it('lets exactly one of 10 callers create the version that all expect', async () => {
      const request = { studentId, academicYear: YEAR, expectedLatestVersion: 0 };
      const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => service.client.createIep(request)));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const failure = await failureOf(service.client.createIep(request));
      expect(failure.code).toBe(Code.Aborted);
      expect(infoOf(failure)).toMatchObject({
        reason: 'VERSION_MISMATCH',
        metadata: { expected: '0', actual: '1', committed: 'no' },
      });
      expect(await database.query('select id from ieps')).toHaveLength(1);
    });
  });
});
