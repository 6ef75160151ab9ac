/** Versions that copy a base: amendments, corrections, and copies from another year. */
import { randomUUID } from 'node:crypto';
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import canonicalize from 'canonicalize';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { GoalDomain, type Iep, IepKind, IepStatus, MeasurementFrequency } from '../src/gen/iep/v1/iep_pb.ts';
import type { CreateIepRequestSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { countRows, invalid, notFound, refusalOf, requestIdReused } from './support/refusal.ts';
import { newIep, newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';
import { FINAL_STATUSES, OTHER_STATUSES, setStatus, type StatusName } from './support/status.ts';

type Request = MessageInitShape<typeof CreateIepRequestSchema>;

const { AMENDMENT, CORRECTION, ANNUAL, INITIAL, REEVALUATION, TRANSFER } = IepKind;
const AMENDING = [AMENDMENT, CORRECTION];
const OTHER_KINDS = [INITIAL, ANNUAL, REEVALUATION, TRANSFER];

const READING = {
  goalKey: 'reading',
  domain: GoalDomain.READING,
  goalText: 'Reads 90 words a minute.',
  baseline: '60',
  targetCriteria: '90 in 4 of 5',
  measurementMethod: 'probes',
  measurementFrequency: MeasurementFrequency.WEEKLY,
  startDate: '2025-09-01',
  targetDate: '2026-06-15',
};
const WRITING = { goalKey: 'writing', goalText: 'Writes a paragraph.' };
const DATES = { meetingDate: '2025-08-20', effectiveDate: '2025-09-01', reviewDate: '2026-08-31' };
const CONTENT = { levels: { reading: 'low', math: null, scores: [1, null] }, services: ['speech'], esy: false };

const baseNotFinal = { code: 'FailedPrecondition', reason: 'BASE_NOT_FINAL', committed: 'no' };

describeOnBoth('a version with a base', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, service, client } = started));
  afterEach(() => expectInvariants(database));

  async function create(request: Request): Promise<Iep> {
    const { iep } = await client.createIep({ academicYear: YEAR, ...request });
    return iep!;
  }

  async function newBase(status: StatusName = 'APPROVED', over: Request = {}): Promise<Iep> {
    const given = { content: CONTENT, goals: [READING, WRITING], ...DATES };
    const { id } = await create({ studentId: await newStudent(client), ...given, ...over });
    await setStatus(database, id, status);
    return (await client.getIep({ iepId: id })).iep!;
  }

  const copy = ({ id, studentId }: Iep, kind: IepKind, over: Request = {}) =>
    create({ studentId, kind, basedOnIepId: id, ...over });

  it.each(AMENDING.flatMap((kind) => FINAL_STATUSES.map((status) => ({ kind, status }))))(
    'of kind $kind copies one that is $status whole',
    async ({ kind, status }) => {
      const base = await newBase(status);
      const copied = await copy(base, kind);
      expect(copied).toMatchObject({
        version: 2,
        parentVersionId: base.id,
        basedOnIepId: base.id,
        kind,
        status: IepStatus.DRAFT,
        revision: 1,
        etag: '1',
        ...DATES,
        approvedBy: '',
        contentSha256: '',
      });
      expect(canonicalize(copied.content)).toBe(canonicalize(base.content));
      expect(copied.goals).toMatchObject([READING, WRITING]);
      const ids = [...base.goals, ...copied.goals].map(({ id }) => id);
      expect(new Set(ids).size).toBe(4);
      for (const reader of Object.values(clientsOf(service))) {
        expect((await reader.getIep({ iepId: copied.id })).iep).toEqual(copied);
      }
      expect((await client.getIep({ iepId: base.id })).iep).toEqual(base);
    },
  );

  it.each(AMENDING.flatMap((kind) => OTHER_STATUSES.map((status) => ({ kind, status }))))(
    'of kind $kind is refused of one that is $status',
    async ({ kind, status }) => {
      const base = await newBase(status);
      const rows = await countRows(database);
      for (const validateOnly of [false, true]) {
        expect(await refusalOf(copy(base, kind, { validateOnly }))).toMatchObject({ ...baseNotFinal, status });
      }
      expect(await countRows(database)).toEqual(rows);
    },
  );

  it.each([...OTHER_KINDS, IepKind.UNSPECIFIED])(
    'of kind %i may copy one in any status, without its dates',
    async (kind) => {
      for (const status of [...FINAL_STATUSES, ...OTHER_STATUSES]) {
        const base = await newBase(status);
        const copied = await copy(base, kind, { academicYear: '2026-2027', content: { esy: true } });
        expect(copied).toMatchObject({
          version: 1,
          parentVersionId: '',
          basedOnIepId: base.id,
          kind: kind || INITIAL,
          content: { ...CONTENT, esy: true },
          meetingDate: '',
          effectiveDate: '',
          reviewDate: '',
        });
        expect(copied.goals).toMatchObject([READING, WRITING]);
      }
    },
  );

  it('takes its dates from the call, where it is of a kind of its own', async () => {
    const dates = { meetingDate: '2026-08-01', effectiveDate: '2026-09-01', reviewDate: '2027-08-31' };
    expect(await copy(await newBase(), ANNUAL, dates)).toMatchObject(dates);
  });

  it.each(AMENDING)('of kind %i keeps the review_date, and takes other dates that are given', async (kind) => {
    const base = await newBase();
    const dates = { meetingDate: '2026-01-10', effectiveDate: '2026-01-15' };
    expect(await copy(base, kind, dates)).toMatchObject({ ...DATES, ...dates });
    expect(await copy(base, kind, { reviewDate: DATES.reviewDate })).toMatchObject(DATES);
    expect(await copy(base, kind, { effectiveDate: DATES.reviewDate })).toMatchObject({
      ...DATES,
      effectiveDate: DATES.reviewDate,
    });
    const refused = (over: Request) => refusalOf(copy(base, kind, over));
    expect(await refused({ reviewDate: '2026-08-30' })).toEqual(invalid('review_date'));
    expect(await refused({ effectiveDate: '2026-09-01' })).toEqual(invalid('effective_date'));
    expect(await refused({ effectiveDate: '2027-01-01', reviewDate: '2027-01-02' })).toEqual(invalid('review_date'));
  });

  it.each<[JsonObject, JsonObject]>([
    [{}, CONTENT],
    [
      { levels: { reading: 'average', writing: { a: null, b: 1 } } },
      { ...CONTENT, levels: { ...CONTENT.levels, reading: 'average', writing: { b: 1 } } },
    ],
    [{ levels: null, esy: null }, { services: ['speech'] }],
    [{ services: [null] }, { ...CONTENT, services: [null] }],
    [
      { levels: [], a: null },
      { ...CONTENT, levels: [] },
    ],
    [
      JSON.parse('{"__proto__":{"a":1}}') as JsonObject,
      JSON.parse(`{"__proto__":{"a":1},${JSON.stringify(CONTENT).slice(1)}`) as JsonObject,
    ],
  ])('merges content %j into that of its base', async (content, merged) => {
    const base = await newBase();
    for (const caller of Object.values(clientsOf(service))) {
      const request = {
        studentId: base.studentId,
        academicYear: YEAR,
        kind: AMENDMENT,
        basedOnIepId: base.id,
        content,
      };
      const { iep } = await caller.createIep(request);
      expect(canonicalize(iep?.content)).toBe(canonicalize(merged));
      expect(canonicalize((await caller.getIep({ iepId: iep!.id })).iep?.content)).toBe(canonicalize(merged));
    }
  });

  it('has goals that are given instead of those of its base', async () => {
    const base = await newBase();
    const goals = [{ goalText: 'Counts.' }, { goalKey: 'reading', goalText: 'Reads 95 words.' }];
    const copied = await copy(base, AMENDMENT, { goals });
    expect(copied.goals).toMatchObject([
      { goalText: 'Counts.' },
      { goalKey: 'reading', goalText: 'Reads 95 words.', baseline: '' },
    ]);
    expect(copied.goals[0]?.goalKey).not.toBe('');
    const lineages = await database.query(
      'select lineage_id from goals where id in (?, ?)',
      base.goals[0]!.id,
      copied.goals[1]!.id,
    );
    expect(new Set(lineages.map((row) => row['lineage_id'])).size).toBe(1);
    const [fresh] = await database.query('select lineage_id from goals where id = ?', copied.goals[0]!.id);
    expect(fresh).toEqual({ lineage_id: copied.goals[0]!.id });
  });

  it('hands lineages on along a chain of bases through the years', async () => {
    const first = await newBase('ACTIVE');
    const lineages = new Set<unknown>();
    let base = first;
    for (let year = 2026; year < 2036; year++) {
      base = await copy(base, ANNUAL, { academicYear: `${year}-${year + 1}`, content: { [`y${year}`]: year } });
      expect(base).toMatchObject({ version: 1 });
      const [row] = await database.query('select lineage_id from goals where id = ?', base.goals[1]!.id);
      lineages.add(row?.['lineage_id']);
    }
    expect([...lineages]).toEqual([first.goals[1]!.id]);
    expect(base.content).toEqual({
      ...CONTENT,
      ...Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`y${2026 + index}`, 2026 + index])),
    });
    // The document, in an other place: not the chain's own latest.
    const { iep } = await client.createIep({
      studentId: first.studentId,
      academicYear: YEAR,
      kind: CORRECTION,
      basedOnIepId: first.id,
    });
    expect(iep).toMatchObject({ version: 2, basedOnIepId: first.id });
  });

  it('is previewed as it would be created', async () => {
    const base = await newBase();
    await client.recordGoalProgress({ iepId: base.id, goalKey: 'reading', note: 'slow' });
    const rows = await countRows(database);
    const over = { content: { esy: true }, goals: [{ ...READING, baseline: '70' }, { goalText: 'Counts.' }] };
    const preview = await copy(base, AMENDMENT, { ...over, validateOnly: true });
    expect(await countRows(database)).toEqual(rows);
    const created = await copy(base, AMENDMENT, over);
    const bare = ({ goals, ...iep }: Iep) => ({
      ...iep,
      goals: goals.map((goal, index) => ({ ...goal, id: '', goalKey: index === 1 ? '' : goal.goalKey })),
      id: '',
      etag: '',
      createTime: undefined,
      updateTime: undefined,
    });
    expect(bare(preview)).toEqual(bare(created));
    expect(preview.goals[0]).toMatchObject({
      id: '',
      goalKey: 'reading',
      baseline: '70',
      progress: [{ note: 'slow' }],
    });
  });

  it('is refused when its content is too large or its base is not the right one', async () => {
    const base = await newBase('APPROVED', { content: { a: 'x'.repeat(200 * 1024) } });
    const other = await newBase();
    const rows = await countRows(database);
    const unknown = randomUUID();
    const grown = { b: 'x'.repeat(100 * 1024) };
    for (const validateOnly of [false, true]) {
      const refused = (over: Request, kind: IepKind = AMENDMENT) =>
        refusalOf(copy(base, kind, { validateOnly, ...over }));
      expect(await refused({ content: grown })).toEqual(invalid('content'));
      expect(await refused({ content: grown, reviewDate: '2026-01-01' })).toEqual(invalid('review_date', 'content'));
      expect(await refused({ content: grown }, ANNUAL)).toEqual(invalid('content'));
      for (const kind of [AMENDMENT, ANNUAL]) {
        expect(await refused({ basedOnIepId: other.id }, kind)).toEqual(invalid('based_on_iep_id'));
        expect(await refused({ basedOnIepId: unknown }, kind)).toEqual(notFound('Iep', unknown));
        expect(await refused({ basedOnIepId: 'x', content: { a: '\u0000' } }, kind)).toEqual(
          invalid('based_on_iep_id', 'content.a'),
        );
      }
      expect(await refused({ expectedLatestVersion: 0, basedOnIepId: unknown })).toMatchObject({
        reason: 'VERSION_MISMATCH',
      });
      expect(await refused({ studentId: unknown })).toEqual(notFound('Student', unknown));
    }
    expect(await countRows(database)).toEqual(rows);
    // What replaces a part may be as large as what was there.
    await copy(base, AMENDMENT, { content: { a: null, ...grown } });
  });

  it('is made once for a request_id, whatever became of its base', async () => {
    const base = await newBase('APPROVED');
    const over = { requestId: randomUUID(), content: { levels: null } };
    const first = await copy(base, CORRECTION, over);
    await setStatus(database, base.id, 'DISCARDED');
    expect(await copy(base, CORRECTION, over)).toEqual(first);
    expect(await refusalOf(copy(base, CORRECTION))).toMatchObject({ ...baseNotFinal, status: 'DISCARDED' });
    // A null in a patch says something.
    expect(await refusalOf(copy(base, CORRECTION, { ...over, content: {} }))).toEqual(requestIdReused);
    expect(await refusalOf(copy(base, CORRECTION, { ...over, basedOnIepId: randomUUID() }))).toEqual(requestIdReused);
  });
});

describeOnBoth('versions with bases at once', (backend) => {
  let database: TestDatabase;
  let services: RunningService[];

  beforeAll(async () => {
    database = await backend.create();
    services = await Promise.all([startProcess(database.url), startProcess(database.url)]);
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await expectInvariants(database);
    await database.drop();
  });

  it('get a number each, and those that are refused harm nobody', async () => {
    const [client] = services.map((service) => service.client);
    const studentId = await newStudent(client!);
    const { iep } = await client!.createIep({ studentId, academicYear: YEAR, goals: [READING], content: CONTENT });
    await setStatus(database, iep!.id, 'ACTIVE');
    const draft = await newIep(client!, studentId);
    const stranger = await newIep(client!, await newStudent(client!));
    const bases = [iep!.id, draft.id, stranger.id, randomUUID(), ''];
    const ends = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) =>
        services[index % 2]!.client.createIep({
          studentId,
          academicYear: YEAR,
          kind: index % 5 === 4 ? ANNUAL : AMENDMENT,
          basedOnIepId: bases[index % 5]!,
          content: { index },
        }),
      ),
    );
    const outcome = await Promise.all(
      ends.map(async (end) =>
        end.status === 'fulfilled' ? 'made' : (await refusalOf(Promise.reject(end.reason as Error))).reason,
      ),
    );
    const due = ['made', 'BASE_NOT_FINAL', 'INVALID_FIELD', 'IEP_NOT_FOUND', 'made'];
    expect(outcome).toEqual(outcome.map((_, index) => due[index % 5]));
    const made = ends.flatMap((end, index) => (end.status === 'fulfilled' ? [{ index, iep: end.value.iep! }] : []));
    expect(made.map(({ iep: { version } }) => version).toSorted((a, b) => a - b)).toEqual(made.map((_, at) => at + 3));
    for (const { index, iep: copied } of made) {
      expect(copied.content).toEqual(index % 5 === 0 ? { ...CONTENT, index } : { index });
    }
  });
});
