/**
 * How PostgreSQL reads the feed and the audit: by an index, and no more than what is answered, however much is before the
 * place, behind it, or about others. The statements are those of the code, explained as it runs them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findSizes } from '../src/iep/document-size.ts';
import { readEvents, type Scope } from '../src/iep/feed-events.ts';
import { findPlace, lastPlace, type Place } from '../src/iep/feed-place.ts';
import { listAuditEvents } from '../src/iep/list-audit-events.ts';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import type { Reader } from '../src/persistence/unit-of-work.ts';
import { postgresql } from './support/databases.ts';
import { nodesOf, type PlanNode, readsOf } from './support/plan.ts';
import type { TestDatabase } from './support/sql.ts';

const STUDENTS = 2000;
const EVENTS_EACH = 100;
/** One student has as many events as a district of its own. */
const BUSY_EVENTS = 20_000;
const UNSETTLED_EACH = 10;
/** More than any transaction of the server: such an event waits for ever. */
const UNSETTLED_XID = 10n ** 12n;
const BUSY = '01980000-0000-7000-8000-000000000001';
const CALM = '01980000-0000-7000-8000-000000000002';
const GOALS_EACH = 2;

/** What one statement may read: an event; or the way to a document, and its goals. */
const BLOCKS_EACH = 14;
const BLOCKS_AT_LEAST = 24;

const caller = { districtId: 'default', principal: 'x', deadline: Date.now() + 600_000, signal: AbortSignal.any([]) };

describe.each(['as it begins', 'analyzed'])('in a district %s', (state) => {
  let database: TestDatabase;
  let db: Database;
  let plans: unknown[] = [];

  beforeAll(async () => {
    database = await postgresql.create();
    await fill(database);
    if (state === 'analyzed') {
      await database.query('analyze');
    }
    db = await openDatabase({ url: database.url, poolSize: 2, versionLock: 'advisory', migrate: 'off' });
  }, 180_000);
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  /** The same database; each statement that is given to it as SQL is explained first. */
  const explaining: Database = {
    read: (call, work) => db.read(call, (reader) => work({ ...reader, em: explained(reader.em) })),
  } as Database;
  const explained = (em: Reader['em']) =>
    new Proxy(em, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (name !== 'execute') {
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async (sql: string, params: unknown[]) => {
          const [row] = await target.execute<Record<string, unknown>[]>(
            `explain (analyze, buffers, format json) ${sql}`,
            params,
          );
          plans.push(row!['QUERY PLAN']);
          return target.execute(sql, params);
        };
      },
    });
  const run = <T>(work: (reader: Reader) => Promise<T>) => {
    plans = [];
    return explaining.read(caller, work);
  };

  /** Every statement read by these indexes, and nothing but what it answers to the last of them. */
  function expectFrugal(rows: number, ...indexes: string[]) {
    expect(plans).not.toEqual([]);
    for (const plan of plans) {
      const nodes = nodesOf(plan);
      expect(nodes.map((node) => node['Node Type']).filter((type) => /Seq Scan|Bitmap|Sort/.test(type))).toEqual([]);
      const used = nodes.flatMap((node) => node['Index Name'] ?? []).filter((name) => name.startsWith('events_'));
      expect(new Set(used)).toEqual(new Set(indexes));
      expect(Math.max(...readsOf(plan))).toBeLessThanOrEqual(GOALS_EACH * Math.max(1, rows));
      expect(blocksOf(nodes[0]!)).toBeLessThanOrEqual(BLOCKS_AT_LEAST + BLOCKS_EACH * rows);
    }
  }

  /** The place of the event that has so many settled ones after it. */
  async function placeBeforeEnd({ districtId, studentId }: Scope, left: number): Promise<Place> {
    const [row] = await database.query(
      `select id, xid::text, seq::text from events where district_id = ? ${studentId ? `and student_id = '${studentId}'` : ''}
         and xid < pg_snapshot_xmin(pg_current_snapshot()) order by events.xid desc, events.seq desc offset ${left} limit 1`,
      districtId,
    );
    return { eventId: row!['id'] as string, order: [BigInt(row!['xid'] as string), BigInt(row!['seq'] as string)] };
  }

  const FIRST: Place = { eventId: null, order: [0n, 0n] };
  const SCOPES: [string, Scope, string][] = [
    ['a district', { districtId: 'default', studentId: undefined }, 'events_feed_idx'],
    ['a student', { districtId: 'default', studentId: CALM }, 'events_student_idx'],
    ['a student with a fifth of all', { districtId: 'default', studentId: BUSY }, 'events_student_idx'],
  ];

  describe.each(SCOPES)('the feed of %s', (_what, scope, index) => {
    it.each([32, 500])('is read from its start, %i events at a time', async (limit) => {
      const events = await run((reader) => readEvents(reader, [{ scope, after: FIRST }], limit));
      const there = scope.studentId === CALM ? Math.min(limit, EVENTS_EACH + UNSETTLED_EACH) : limit;
      expect(events).toHaveLength(there);
      expect(events.filter(({ settled }) => settled)).toHaveLength(
        scope.studentId === CALM ? Math.min(limit, EVENTS_EACH) : limit,
      );
      expectFrugal(there, index);
    });

    it.each([1, 40])('is read on %i events before its end', async (left) => {
      const after = await placeBeforeEnd(scope, left);
      const events = await run((reader) => readEvents(reader, [{ scope, after }], left));
      expect(events).toHaveLength(left);
      expectFrugal(left, index);
    });

    it('is read behind its settled end', async () => {
      const after = await placeBeforeEnd(scope, 0);
      const events = await run((reader) => readEvents(reader, [{ scope, after }], 32));
      expect(events.some(({ settled }) => settled)).toBe(false);
      expectFrugal(32, index);
    });

    it('is read behind its very end', async () => {
      const after = { eventId: null, order: [UNSETTLED_XID + 1n, 0n] };
      expect(await run((reader) => readEvents(reader, [{ scope, after }], 500))).toEqual([]);
      expectFrugal(0, index);
    });
  });

  it('the feeds of several districts are read by one statement', async () => {
    const parts = await Promise.all(
      ['default', 'other', 'nobody'].map(async (districtId) => {
        const scope = { districtId, studentId: undefined };
        return { scope, after: districtId === 'default' ? await placeBeforeEnd(scope, 5) : FIRST };
      }),
    );
    const events = await run((reader) => readEvents(reader, parts, 20));
    expect(Map.groupBy(events, ({ districtId }) => districtId).get('other')).toHaveLength(20);
    expect(plans).toHaveLength(1);
    expectFrugal(40, 'events_feed_idx');
  });

  it('the sizes of documents are read by their ids', async () => {
    const rows = await database.query(`select id from ieps where district_id = 'default' limit 20`);
    const ids = rows.map(({ id }) => id as string);
    const sizes = await run((reader) => findSizes(reader, 'default', ids));
    expect(sizes.map(([id]) => id).toSorted()).toEqual(ids.toSorted());
    expect(sizes.every(([, bytes]) => bytes > 0)).toBe(true);
    const nodes = nodesOf(plans[0]);
    expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    expect(blocksOf(nodes[0]!)).toBeLessThanOrEqual(BLOCKS_AT_LEAST + BLOCKS_EACH * ids.length);
  });

  it('the last place is one row, however many wait behind it', async () => {
    const last = await run((reader) => lastPlace(reader, 'default'));
    expect(last).toEqual(await placeBeforeEnd({ districtId: 'default', studentId: undefined }, 0));
    expectFrugal(0, 'events_feed_idx');
    await run((reader) => lastPlace(reader, 'nobody'));
    expectFrugal(0, 'events_feed_idx');
  });

  it('the place of an event is one row', async () => {
    const place = await placeBeforeEnd({ districtId: 'default', studentId: CALM }, 3);
    expect(await run((reader) => findPlace(reader, 'default', place.eventId))).toEqual(place);
    expectFrugal(0, 'events_pkey');
    expect(await run((reader) => findPlace(reader, 'default', BUSY))).toBeUndefined();
    expectFrugal(0, 'events_pkey');
  });

  describe.each([
    ['a student', CALM, EVENTS_EACH],
    ['a student with a fifth of all', BUSY, BUSY_EVENTS],
  ])('the audit of %s', (_what, studentId, count) => {
    const list = async (
      subject: Parameters<typeof listAuditEvents>[2]['subject'],
      after: Place | undefined,
      limit: number,
    ) => {
      plans = [];
      const found = [];
      for await (const { id } of listAuditEvents(explaining, caller, {
        subject,
        after: after?.eventId ?? undefined,
        limit,
      })) {
        found.push(id);
      }
      return found;
    };

    it('is read from its start', async () => {
      expect(await list({ studentId }, undefined, 60)).toHaveLength(60);
      expectFrugal(60, 'events_student_idx');
    });

    it('is read from a place near its end', async () => {
      const after = await placeBeforeEnd({ districtId: 'default', studentId }, 30);
      expect(await list({ studentId }, after, 60)).toHaveLength(30);
      expect(plans).toHaveLength(2);
      const [place, page] = plans;
      plans = [place];
      expectFrugal(0, 'events_pkey');
      plans = [page];
      expectFrugal(60, 'events_student_idx');
    });

    it('is read of one IEP', async () => {
      const [row] = await database.query(
        `select id from ieps where student_id = ? and academic_year = '2029-2030'`,
        studentId,
      );
      expect(await list({ iepId: row!['id'] as string }, undefined, 1000)).toHaveLength(Math.min(count / 10, 1000));
      // Its student's other events are passed over in the index.
      expectFrugal(100, 'events_student_idx');
    });
  });
});

function blocksOf(node: PlanNode): number {
  return (node['Shared Hit Blocks'] ?? 0) + (node['Shared Read Blocks'] ?? 0);
}

/** Ten IEPs for each student, whose events take turns, and events that wait for an older transaction. */
async function fill(database: TestDatabase): Promise<void> {
  await database.query(
    `insert into students (district_id, id, student_number, given_name, family_name, given_name_folded,
      family_name_folded, disabilities, create_time, update_time, row_version)
    select 'default', case n when 1 then '${BUSY}' when 2 then '${CALM}' else gen_random_uuid() end, n::text,
      'A', 'B', 'A', 'B', '[]', now(), now(), 1
    from generate_series(1, ${STUDENTS}) n`,
  );
  await database.query(
    `insert into ieps (district_id, id, student_id, academic_year, version, kind, status, content, created_by,
      create_time, update_time, revision, row_version)
    select 'default', gen_random_uuid(), id, year || '-' || year + 1, 1, 'ANNUAL', 'DRAFT', '{"a":1}', 'x', now(), now(), 1, 1
    from students, generate_series(2020, 2029) year`,
  );
  await database.query(
    `insert into goals (district_id, id, iep_id, lineage_id, position, goal_key, goal_text, baseline, target_criteria,
      measurement_method)
    select district_id, gen_random_uuid(), id, gen_random_uuid(), n, 'g' || n, 'x', '', '', ''
    from ieps, generate_series(1, ${GOALS_EACH}) n`,
  );
  const events = (ieps: string, count: number, xid: string) =>
    database.query(
      `insert into events (district_id, id, xid, rpc, request_index, actor, event_time, student_id, iep_id,
        row_version, changed_paths)
      select district_id, gen_random_uuid(), (${xid})::text::xid8, 'UpdateIep', 0, 'x', now(), student_id, id, n, '[]'
      from ieps, generate_series(1, ${count}) n where ${ieps} order by n, id`,
    );
  const each = EVENTS_EACH / 10;
  // Numbers of transactions that ended long ago: even a server that is new has counted past them.
  await events(`student_id <> '${BUSY}'`, each, `3 + n * 10 + abs(hashtext(id::text)) % 10`);
  await events(`student_id = '${BUSY}'`, BUSY_EVENTS / 10, `3 + n % 300`);
  await events(`academic_year = '2020-2021'`, UNSETTLED_EACH, `${UNSETTLED_XID}`);
  await database.query(
    `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, row_version, changed_paths)
    select 'other', gen_random_uuid(), 'UpdateStudent', 0, 'x', now(), gen_random_uuid(), 1, '[]'
    from generate_series(1, 100) n`,
  );
}
