/** Lists of a district's documents: order, filters, and walks over a list that changes meanwhile. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Iep, IepStatus } from '../src/gen/iep/v1/iep_pb.ts';
import type { ListIepsRequestSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { listDistrict } from '../src/iep/list-district.ts';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import { describeOnBoth } from './support/databases.ts';
import { invalid, refusalOf, refusalsOf } from './support/refusal.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { type IepClient, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

type Filters = MessageInitShape<typeof ListIepsRequestSchema>;

const YEARS = ['2024-2025', YEAR];
const DAYS = ['2026-01-01', '2026-01-02', '2026-03-01', '2026-12-31', ''];
const STATUSES = (Object.keys(IepStatus) as (keyof typeof IepStatus)[]).filter((name) => name !== 'UNSPECIFIED');
/** A goal of about 48 KB. */
const LARGE_GOAL = Object.fromEntries(
  ['goalText', 'baseline', 'targetCriteria', 'measurementMethod'].map((name) => [name, '語'.repeat(4000)]),
);

/** What a list must be, from all the versions that there are. */
function expected(ieps: readonly Iep[], { academicYear, status, reviewDateBefore, latestOnly }: Filters): Iep[] {
  const chain = ({ studentId, academicYear: year }: Iep) => `${studentId}/${year}`;
  const latest = new Map<string, number>();
  ieps.forEach((iep) => latest.set(chain(iep), Math.max(iep.version, latest.get(chain(iep)) ?? 0)));
  const key = ({ reviewDate, id }: Iep) => `${reviewDate || 'none'}/${id}`;
  return ieps
    .filter(
      (iep) =>
        (!academicYear || iep.academicYear === academicYear) &&
        (!status || iep.status === status) &&
        (!reviewDateBefore || (iep.reviewDate !== '' && iep.reviewDate < reviewDateBefore)) &&
        (!latestOnly || latest.get(chain(iep)) === iep.version),
    )
    .toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

describeOnBoth('a list of the district', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;

  // Everything in the district is what the test made.
  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url);
    client = service.client;
  });
  afterEach(async () => {
    await service.stop();
    await database.drop();
  });

  const make = async (studentId: string, reviewDate = '', academicYear = YEAR): Promise<Iep> =>
    (await client.createIep({ studentId, academicYear, reviewDate })).iep!;
  const setStatus = (id: string, status: string) =>
    database.query('update ieps set status = ? where id = ?', status, id);

  /** Chains of up to four versions in all statuses; at most one ACTIVE for a student. Some ids are older than their place. */
  async function fill(students: number): Promise<Iep[]> {
    const made = [];
    for (let student = 0; student < students; student++) {
      const studentId = await newStudent(client);
      for (let index = 0; index < 6; index++) {
        const iep = await make(studentId, DAYS[(student + index * 3) % DAYS.length], YEARS[index % 2]);
        const status = STATUSES[(student * 5 + index) % STATUSES.length]!;
        await setStatus(iep.id, status);
        made.push(iep.id);
      }
    }
    return Promise.all(made.map(async (iepId) => (await client.getIep({ iepId })).iep!));
  }

  /** All pages, with sizes in turn. */
  async function walk(
    filters: Filters,
    sizes: readonly number[],
    between: () => Promise<unknown> = async () => undefined,
  ) {
    const found: Iep[] = [];
    let pageToken = '';
    let count = 0;
    do {
      const page = await client.listIeps({ ...filters, pageToken, pageSize: sizes[count++ % sizes.length]! });
      found.push(...page.ieps);
      pageToken = page.nextPageToken;
      await between();
    } while (pageToken !== '');
    return found;
  }

  it('goes by review date, those without one last, then id, and filters as it says', async () => {
    const ieps = await fill(12);
    expect(await walk({}, [1000])).toEqual(expected(ieps, {}));
    const filters = fc.record({
      academicYear: fc.constantFrom('', ...YEARS, '2030-2031'),
      status: fc.constantFrom(...Object.values(IepStatus)),
      reviewDateBefore: fc.constantFrom('', '1900-01-01', '2026-01-02', '2026-02-01', '2026-12-31', '2199-12-31'),
      latestOnly: fc.boolean(),
    });
    const sizes = fc.array(fc.constantFrom(1, 2, 3, 7, 24, 25, 26, 1000), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(filters, sizes, async (one, pages) => {
        expect((await walk(one, pages)).map(({ id }) => id)).toEqual(expected(ieps, one).map(({ id }) => id));
      }),
      { numRuns: 60 },
    );
  });

  it("filters a student's history in its own order", async () => {
    const ieps = await fill(3);
    const { studentId } = ieps[0]!;
    const order = ({ academicYear, version }: Iep) => academicYear + String(version).padStart(9);
    const own = ieps.filter((iep) => iep.studentId === studentId);
    const filters = fc.record({
      academicYear: fc.constantFrom('', ...YEARS),
      status: fc.constantFrom(...Object.values(IepStatus)),
      reviewDateBefore: fc.constantFrom('', '2026-01-02', '2026-12-31'),
      latestOnly: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 1, max: 4 }), async (one, size) => {
        const wanted = expected(own, one).toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
        expect(await walk({ ...one, studentId }, [size])).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });

  it('does not see another district', async () => {
    const iep = await make(await newStudent(client), '2026-01-01');
    for (const [table, columns] of [
      [
        'students',
        'id, student_number, given_name, family_name, given_name_folded, family_name_folded, disabilities, create_time, update_time, row_version',
      ],
      [
        'ieps',
        'id, student_id, academic_year, version, kind, status, content, review_date, created_by, create_time, update_time, revision, row_version',
      ],
      ['events', 'id, rpc, request_index, actor, event_time, student_id, iep_id, row_version, changed_paths'],
    ]) {
      await database.query(`insert into ${table} (district_id, ${columns}) select 'other', ${columns} from ${table}`);
    }
    expect(await walk({}, [1])).toEqual([iep]);
    expect(await walk({ latestOnly: true }, [1])).toEqual([iep]);
    expect((await client.listAuditEvents({ iepId: iep.id })).events).toHaveLength(1);
  });

  it('finds all that is there all the time, once, while versions come and change', async () => {
    const ieps = await fill(8);
    const drafts = ieps.filter(({ status }) => status === IepStatus.DRAFT);
    // Approved ones come to be in force or superseded during the walk, new versions come everywhere.
    const moving = ieps.filter(({ status }) => status === IepStatus.UNDER_REVIEW);
    const students = ieps.map(({ studentId }) => studentId);
    let step = 0;
    const change = async () => {
      step++;
      await make(students[step % students.length]!, DAYS[step % DAYS.length]);
      const id = moving[step % moving.length]!.id;
      await setStatus(id, step % 2 ? 'RETURNED' : 'UNDER_REVIEW');
    };
    for (const sizes of [[1], [3, 1, 2], [26, 5]]) {
      const all = await walk({}, sizes, step < 200 ? change : undefined);
      const ids = all.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.filter((id) => ieps.some((iep) => iep.id === id))).toEqual(expected(ieps, {}).map(({ id }) => id));
      const found = await walk({ status: IepStatus.DRAFT }, sizes, step < 200 ? change : undefined);
      const draftIds = found.map(({ id }) => id);
      expect(new Set(draftIds).size).toBe(draftIds.length);
      const there = new Set(expected(drafts, {}).map(({ id }) => id));
      expect(draftIds.filter((id) => there.has(id))).toEqual([...there]);
    }
  });

  it('goes on from where it was, when the version there no longer matches', async () => {
    const made = [];
    for (const day of ['2026-01-03', '2026-01-01', '2026-01-02']) {
      const studentId = await newStudent(client);
      made.push(await make(studentId, day));
    }
    const [third, first, second] = made.map(({ id }) => id);
    await Promise.all(made.map(({ id }) => setStatus(id, 'ACTIVE')));
    const due = { status: IepStatus.ACTIVE, reviewDateBefore: '2026-06-01', latestOnly: true };
    const page = await client.listIeps({ ...due, pageSize: 1 });
    expect(page.ieps.map(({ id }) => id)).toEqual([first]);
    await setStatus(first!, 'ENDED');
    await make(made[1]!.studentId, '2026-01-01');
    const rest = await client.listIeps({ ...due, pageToken: page.nextPageToken });
    expect(rest.ieps.map(({ id }) => id)).toEqual([second, third]);
  });

  it.each([true, false])('passes over what changes while it is read, latest_only %s', async (latestOnly) => {
    const days = ['01', '02', '03', '04', '05'].map((day) => `2026-01-${day}`);
    const ieps = await Promise.all(days.map(async (day) => make(await newStudent(client), day)));
    const db = await openDatabase({ url: database.url, poolSize: 2, versionLock: 'advisory', migrate: 'off' });
    try {
      let reads = 0;
      const changing: Pick<Database, 'read'> = {
        async read(call, work) {
          const result = await db.read(call, work);
          // The places are read, the documents are not.
          await (++reads === 1 && setStatus(ieps[1]!.id, 'ENDED'));
          return result;
        },
      };
      const found = [];
      const filters = { academicYear: undefined, status: 'DRAFT', reviewDateBefore: undefined, latestOnly };
      const caller = {
        districtId: 'default',
        principal: 'x',
        deadline: Date.now() + 50_000,
        signal: AbortSignal.any([]),
      };
      for await (const { iep } of listDistrict(changing, caller, { ...filters, after: undefined, limit: 3 })) {
        found.push(iep.reviewDate);
      }
      expect(found).toEqual([days[0], days[2], days[3]]);
    } finally {
      await db.close();
    }
  });

  it('says so when it cannot tell any more where it was', async () => {
    const studentId = await newStudent(client);
    const first = await make(studentId, '2026-01-01');
    await make(studentId, '2026-01-02');
    const { nextPageToken: pageToken } = await client.listIeps({ pageSize: 1 });
    const inStudent = await client.listIeps({ studentId, pageSize: 1 });
    await database.query(`update ieps set review_date = '2026-12-31' where id = ?`, first.id);
    expect(await refusalOf(client.listIeps({ pageToken }))).toEqual(invalid('page_token'));
    // A student's history does not go by it.
    expect((await client.listIeps({ studentId, pageToken: inStudent.nextPageToken })).ieps).toHaveLength(1);
  });

  it('lists a chain once, when it gets another version between two pages', async () => {
    const studentId = await newStudent(client);
    for (const academicYear of YEARS) {
      await make(studentId, '', academicYear);
    }
    const { ieps, nextPageToken: pageToken } = await client.listIeps({ studentId, latestOnly: true, pageSize: 1 });
    await make(studentId, '', YEARS[0]);
    const rest = await client.listIeps({ studentId, latestOnly: true, pageToken });
    expect([...ieps, ...rest.ieps].map(({ academicYear }) => academicYear)).toEqual(YEARS);
  });

  it('looks past many versions that others followed', async () => {
    const studentId = await newStudent(client);
    const chain = await Promise.all(Array.from({ length: 600 }, () => make(studentId, '2026-01-01')));
    const last = chain.find(({ version }) => version === 600)!;
    const other = await make(await newStudent(client), '2026-01-02');
    expect((await client.listIeps({ latestOnly: true })).ieps).toEqual([last, other]);
  });

  it('passes over so many of them only, and then says where to go on', async () => {
    const studentId = await newStudent(client);
    const { id } = await make(studentId, '2026-01-01');
    const idOf = (version: number) => (version === 1 ? id : String(version).padStart(8, '0') + id.slice(8));
    const now = `(select create_time from ieps where id = '${id}')`;
    // As the service would have made them, but for their events.
    const rows = Array.from(
      { length: 11_999 },
      (_, index) =>
        `('default', '${idOf(index + 2)}', '${studentId}', '${YEAR}', ${index + 2}, '${idOf(index + 1)}', 'ANNUAL', 'DRAFT',
          '{}', '2026-01-01', 'x', ${now}, ${now}, 1, 1)`,
    );
    for (let start = 0; start < rows.length; start += 1000) {
      await database.query(
        `insert into ieps (district_id, id, student_id, academic_year, version, parent_version_id, kind, status, content,
          review_date, created_by, create_time, update_time, revision, row_version)
        values ${rows.slice(start, start + 1000).join(', ')}`,
      );
    }
    const other = await make(await newStudent(client), '2026-01-02');
    const first = await client.listIeps({ latestOnly: true });
    expect(first.ieps).toEqual([]);
    expect(first.nextPageToken).not.toBe('');
    expect((await walk({ latestOnly: true }, [50])).map((iep) => iep.id)).toEqual([idOf(12_000), other.id]);
    expect((await client.listIeps({ latestOnly: true, studentId })).ieps).toHaveLength(1);
  });

  it('ends a page at 3 MiB', async () => {
    for (const count of [60, 1, 60]) {
      const goals = Array.from({ length: count }, () => LARGE_GOAL);
      await client.createIep({ studentId: await newStudent(client), academicYear: YEAR, goals });
    }
    const first = await client.listIeps({});
    expect(first.ieps.map(({ goals }) => goals.length)).toEqual([60, 1]);
    const second = await client.listIeps({ pageToken: first.nextPageToken });
    expect(second).toMatchObject({ ieps: [{ version: 1 }], nextPageToken: '' });
  });

  it('binds a token to every filter, not to the page size', async () => {
    const studentId = await newStudent(client);
    await make(studentId, '2026-01-01');
    await make(studentId, '2026-01-02');
    const given = { status: IepStatus.DRAFT, reviewDateBefore: '2027-01-01', academicYear: YEAR };
    const { nextPageToken: pageToken } = await client.listIeps({ ...given, pageSize: 1 });
    expect((await client.listIeps({ ...given, pageToken, pageSize: 7 })).ieps).toHaveLength(1);
    const changes: Filters[] = [
      { status: IepStatus.UNSPECIFIED },
      { status: IepStatus.ACTIVE },
      { reviewDateBefore: '2027-01-02' },
      { reviewDateBefore: '' },
      { academicYear: '' },
      { latestOnly: true },
      { studentId },
    ];
    const refusals = await refusalsOf(changes.map((change) => client.listIeps({ ...given, ...change, pageToken })));
    expect(refusals).toEqual(changes.map(() => invalid('page_token')));
  });

  it('reports all bad fields at once', async () => {
    const bad = { studentId: 'x', academicYear: '2025', status: 9 as IepStatus, reviewDateBefore: '2025-02-30' };
    const { fields } = await refusalOf(client.listIeps({ ...bad, pageSize: -1, pageToken: 'x' }));
    expect(fields?.toSorted()).toEqual([
      'academic_year',
      'page_size',
      'page_token',
      'review_date_before',
      'status',
      'student_id',
    ]);
    expect(await refusalOf(client.listIeps({ status: -1 as IepStatus }))).toEqual(invalid('status'));
  });
});
