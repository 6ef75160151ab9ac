/** Documents: create, preview and read. */
import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import {
  GoalDomain,
  type GoalSchema,
  type Iep,
  IepKind,
  IepStatus,
  MeasurementFrequency,
  ProgressStatus,
} from '../src/gen/iep/v1/iep_pb.ts';
import { countRows } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { expectChain, HOSTILE_TEXTS, newIep, newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

type GoalInit = MessageInitShape<typeof GoalSchema>;

const GOAL = {
  goalKey: 'reading_fluency-1',
  domain: GoalDomain.READING,
  goalText: 'Reads 100 words a minute.\n\tAloud.',
  baseline: '60 words',
  targetCriteria: '100 words in 4 of 5 trials',
  measurementMethod: 'curriculum-based measurement',
  measurementFrequency: MeasurementFrequency.BIWEEKLY,
  startDate: '2025-09-01',
  targetDate: '2026-06-15',
};

describeOnBoth('documents', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, service, client } = started));

  const createWithGoals = async (...goals: GoalInit[]): Promise<Iep> => {
    const { iep } = await client.createIep({ studentId: await newStudent(client), academicYear: YEAR, goals });
    return iep!;
  };

  it('are read as they were created, by every read and protocol', async () => {
    const studentId = await newStudent(client);
    const given = {
      studentId,
      academicYear: YEAR,
      kind: IepKind.TRANSFER,
      content: { present_levels: { reading: 'below grade', scores: [61, 72.5, null] }, esy: false },
      meetingDate: '2025-08-20',
      // An academic year is not the document's term.
      effectiveDate: '2025-01-15',
      reviewDate: '2026-01-14',
    };
    const before = Date.now();
    const { iep } = await client.createIep(
      { ...given, goals: [GOAL, { goalText: 'Writes.' }] },
      { headers: { 'x-user-id': 'teacher@district' } },
    );
    expect(iep).toMatchObject({
      ...given,
      version: 1,
      parentVersionId: '',
      basedOnIepId: '',
      status: IepStatus.DRAFT,
      createdBy: 'teacher@district',
      updateTime: iep!.createTime,
      approvedBy: '',
      revision: 1,
      contentSha256: '',
      etag: '1',
    });
    expect(iep?.id).toMatch(UUID_V7);
    expect(timestampDate(iep!.createTime!).getTime()).toBeGreaterThanOrEqual(before - 1);
    const [reading, writing] = iep!.goals;
    expect(reading).toMatchObject({ ...GOAL, progressStatus: ProgressStatus.NOT_STARTED, progress: [] });
    expect(writing).toMatchObject({
      goalText: 'Writes.',
      baseline: '',
      domain: 0,
      measurementFrequency: 0,
      startDate: '',
    });
    expect([reading?.id, writing?.id]).toEqual([expect.stringMatching(UUID_V7), expect.stringMatching(UUID_V7)]);

    for (const reader of Object.values(clientsOf(service))) {
      expect((await reader.getIep({ iepId: iep!.id })).iep).toEqual(iep);
      expect((await reader.getLatestIep({ studentId, academicYear: YEAR })).iep).toEqual(iep);
      expect((await reader.listIeps({ studentId })).ieps).toEqual([iep]);
    }
  });

  it('ignore output-only fields of goals', async () => {
    const given = { ...GOAL, id: randomUUID(), progressStatus: ProgressStatus.MASTERED, progress: [{ note: 'done' }] };
    const { goals } = await createWithGoals(given);
    expect(goals).toMatchObject([{ ...GOAL, progressStatus: ProgressStatus.NOT_STARTED, progress: [] }]);
    expect(goals[0]?.id).not.toBe(given.id);
  });

  it('keep 100 goals in order, with keys of their own', async () => {
    const goals = Array.from({ length: 100 }, (_, index) => ({ goalText: `Goal ${99 - index}` }));
    const iep = await createWithGoals(...goals);
    expect(iep.goals).toMatchObject(goals);
    expect(new Set(iep.goals.map(({ goalKey }) => goalKey)).size).toBe(100);
    expect((await client.getIep({ iepId: iep.id })).iep).toEqual(iep);
  });

  it.each<[string, string, string]>([
    ['white space around them', '\n reads \t', 'reads'],
    ['decomposed characters', 'Zoe\u0308', 'Zo\u00eb'],
    ['4,000 code points', '🦉'.repeat(4000), '🦉'.repeat(4000)],
    ['line breaks and tabs', 'a\n\n\tb', 'a\n\n\tb'],
    ...HOSTILE_TEXTS.map((text): [string, string, string] => ['what could be SQL', text, text]),
  ])('keep texts of goals with %s', async (_what, given, stored) => {
    const { id } = await createWithGoals({ goalText: given, baseline: given, targetCriteria: given });
    const { iep } = await client.getIep({ iepId: id });
    expect(iep?.goals).toMatchObject([{ goalText: stored, baseline: stored, targetCriteria: stored }]);
  });

  it('take the same goal_key again in the next version', async () => {
    const studentId = await newStudent(client);
    const goals = [{ goalKey: 'a', goalText: 'reads' }];
    const ieps = [];
    for (let version = 1; version <= 2; version++) {
      ieps.push((await client.createIep({ studentId, academicYear: YEAR, goals })).iep!);
    }
    expectChain(ieps);
    expect(ieps.map((iep) => iep.goals[0]?.goalKey)).toEqual(['a', 'a']);
  });

  it('are INITIAL first and ANNUAL later, unless a kind is given', async () => {
    const studentId = await newStudent(client);
    const { INITIAL, ANNUAL, REEVALUATION } = IepKind;
    const kinds = [];
    for (const kind of [0, 0, REEVALUATION, INITIAL, 0] as IepKind[]) {
      kinds.push((await client.createIep({ studentId, academicYear: YEAR, kind })).iep?.kind);
    }
    expect(kinds).toEqual([INITIAL, ANNUAL, REEVALUATION, INITIAL, ANNUAL]);
  });

  it('take an expected_latest_version that is right', async () => {
    const studentId = await newStudent(client);
    for (const expectedLatestVersion of [0, 1, 2]) {
      const { iep } = await client.createIep({ studentId, academicYear: YEAR, expectedLatestVersion });
      expect(iep?.version).toBe(expectedLatestVersion + 1);
    }
  });

  it('are answered, not written, by validate_only', async () => {
    const studentId = await newStudent(client);
    const first = await newIep(client, studentId);
    const rows = await countRows(database);
    const request = {
      studentId,
      academicYear: YEAR,
      content: { a: [1] },
      reviewDate: '2026-01-01',
      expectedLatestVersion: 1,
    };
    const goals = [{ goalText: ' reads ' }, GOAL];
    for (const caller of Object.values(clientsOf(service))) {
      const { iep } = await caller.createIep({ ...request, goals, requestId: randomUUID(), validateOnly: true });
      expect(iep).toMatchObject({ id: '', version: 2, parentVersionId: first.id, kind: IepKind.ANNUAL, etag: '' });
      expect(iep).toMatchObject({
        content: { a: [1] },
        reviewDate: '2026-01-01',
        status: IepStatus.DRAFT,
        revision: 1,
      });
      expect(iep?.goals).toMatchObject([
        { id: '', goalKey: '', goalText: 'reads' },
        { ...GOAL, id: '' },
      ]);
    }
    expect(await countRows(database)).toEqual(rows);
  });
});
