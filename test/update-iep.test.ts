/** Drafts that are edited. */
import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { GoalDomain, type GoalSchema, type Iep, IepKind, type IepSchema, IepStatus } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { as, COMPLETE, GOAL, iepIn, STATUSES, statusOf } from './support/lifecycle.ts';
import { countRows, invalid, notFound, refusalOf } from './support/refusal.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

type Edit = MessageInitShape<typeof IepSchema>;
type GoalInit = MessageInitShape<typeof GoalSchema>;

const EMPTY = { content: {}, goals: [], meetingDate: '', effectiveDate: '', reviewDate: '' };
const FULL = { ...COMPLETE, meetingDate: '2025-01-10' };

describeOnBoth('an edit of a draft', (backend) => {
  let database: TestDatabase;
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, service, client } = started));

  const get = async (iepId: string) => (await client.getIep({ iepId })).iep!;
  const draft = (over: Parameters<typeof iepIn>[2] = {}) => iepIn(client, 'DRAFT', { ...FULL, ...over });

  async function edit(iep: Edit, paths: string[] = [], by: IepClient = client): Promise<Iep> {
    const answer = await by.updateIep({ iep: { etag: '*', ...iep }, updateMask: { paths } }, as('editor'));
    return answer.iep!;
  }

  async function pathsOf(iepId: string): Promise<unknown> {
    const rows = await database.query('select changed_paths from events where iep_id = ? order by seq', iepId);
    const paths = rows.at(-1)?.['changed_paths'];
    return typeof paths === 'string' ? JSON.parse(paths) : paths;
  }

  it('changes what is filled when there is no mask, and is counted', async () => {
    const before = await draft();
    const { id, etag } = before;
    const after = await edit({ id, etag, effectiveDate: '2025-01-16', kind: IepKind.REEVALUATION, content: {} });
    const expected = { ...before, effectiveDate: '2025-01-16', kind: IepKind.REEVALUATION, revision: 2, etag: '2' };
    expect(after).toEqual({ ...expected, updateTime: after.updateTime });
    expect(timestampDate(after.updateTime!) >= timestampDate(before.updateTime!)).toBe(true);
    expect(await get(id)).toEqual(after);
    const events = await database.query('select * from events where iep_id = ? order by seq', id);
    expect(events.at(-1)).toMatchObject({
      rpc: 'UpdateIep',
      actor: 'editor',
      from_status: null,
      to_status: null,
      row_version: 2,
      event_time: backend.instant(timestampDate(after.updateTime!)),
    });
  });

  it.each<[string, Edit]>([
    ['content', { content: { other: [1, null] } }],
    ['content', { content: {} }],
    ['goals', { goals: [] }],
    ['meeting_date', { meetingDate: '' }],
    ['meeting_date', { meetingDate: '2030-01-01' }],
    ['effective_date', { effectiveDate: '' }],
    ['review_date', { reviewDate: '' }],
    ['review_date', { reviewDate: '2025-01-15' }],
    ['kind', { kind: IepKind.TRANSFER }],
  ])('changes only %s where the mask names it, to %j', async (path, change) => {
    const before = await draft({ kind: IepKind.ANNUAL });
    const values = { ...EMPTY, kind: IepKind.INITIAL, ...change, id: before.id };
    for (const by of Object.values(clientsOf(service))) {
      const after = await edit(values, [path, path], by);
      const { updateTime, revision, etag } = after;
      expect(after).toEqual({ ...before, ...change, updateTime, revision, etag });
      expect(await get(before.id)).toEqual(after);
    }
  });

  it('changes everything with "*", also to nothing', async () => {
    const before = await draft({ kind: IepKind.TRANSFER });
    const after = await edit({ id: before.id }, ['*']);
    const { updateTime, revision, etag } = after;
    expect(after).toEqual({ ...before, ...EMPTY, kind: IepKind.INITIAL, updateTime, revision, etag });
    const second = await client.createIep({ studentId: before.studentId, academicYear: YEAR, kind: IepKind.TRANSFER });
    expect((await edit({ id: second.iep!.id }, ['kind'])).kind).toBe(IepKind.ANNUAL);
  });

  it('takes back whole what was read', async () => {
    const before = await draft({ goals: [GOAL, { goalText: 'Writes.' }] });
    for (const paths of [[], ['*']]) {
      const after = await edit({ ...before, etag: '*' }, paths);
      const { updateTime, revision, etag } = after;
      expect(after).toEqual({ ...before, updateTime, revision, etag });
      expect(await pathsOf(before.id)).toEqual([]);
    }
    expect((await get(before.id)).revision).toBe(3);
  });

  it('ignores output-only fields', async () => {
    const { id, studentId, academicYear } = await draft();
    const output = {
      studentId: randomUUID(),
      academicYear: '2030-2031',
      version: 9,
      status: IepStatus.ACTIVE,
      createdBy: 'me',
      revision: 9,
      approvedBy: 'me',
      contentSha256: 'a'.repeat(64),
      parentVersionId: randomUUID(),
      basedOnIepId: randomUUID(),
    };
    const after = await edit({ ...output, id, meetingDate: '2025-01-11' });
    const kept = { studentId, academicYear, version: 1, status: 1, createdBy: 'teacher', revision: 2, approvedBy: '' };
    expect(after).toMatchObject({ ...kept, contentSha256: '', parentVersionId: '', basedOnIepId: '' });
  });

  describe('of goals', () => {
    const withGoals = (...goals: GoalInit[]) => draft({ goals });
    const lineages = async (iepId: string) =>
      Object.fromEntries(
        (await database.query('select goal_key, id, lineage_id from goals where iep_id = ?', iepId)).map((row) => [
          row['goal_key'],
          [row['id'], row['lineage_id']],
        ]),
      );

    it('keeps those whose key stays, makes new ones, and lets the others go', async () => {
      const goal = { goalText: 'reads' };
      const before = await withGoals({ ...goal, goalKey: 'a' }, { ...goal, goalKey: 'b' }, { ...goal, goalKey: 'c' });
      const stored = await lineages(before.id);
      const goals = [
        { ...goal, goalKey: 'new' },
        { ...goal, goalKey: 'c', domain: GoalDomain.MATH, targetDate: '2026-01-01' },
        goal,
        { ...goal, goalKey: 'a', goalText: 'counts' },
      ];
      const after = await edit({ id: before.id, goals });
      expect(after.goals).toMatchObject(goals);
      const [fresh, c, assigned, a] = after.goals;
      expect([a?.id, c?.id]).toEqual([before.goals[0]?.id, before.goals[2]?.id]);
      expect(await get(before.id)).toEqual(after);
      expect(await lineages(before.id)).toEqual({
        a: stored['a'],
        c: stored['c'],
        new: [fresh!.id, fresh!.id],
        [assigned!.goalKey]: [assigned!.id, assigned!.id],
      });
      expect(await pathsOf(before.id)).toEqual([
        '/goals',
        '/goals/new',
        '/goals/c/domain',
        '/goals/c/target_date',
        `/goals/${assigned!.goalKey}`,
        '/goals/a/goal_text',
        '/goals/b',
      ]);
    });

    it('gives a key that went and came again a goal of its own', async () => {
      const before = await withGoals(GOAL);
      await edit({ id: before.id }, ['goals']);
      const after = await edit({ id: before.id, goals: [GOAL] });
      expect(after.goals[0]?.id).not.toBe(before.goals[0]?.id);
    });

    it('may empty what a goal said', async () => {
      const before = await withGoals({ ...GOAL, domain: GoalDomain.READING, startDate: '2025-09-01' });
      const after = await edit({ id: before.id, goals: [{ goalKey: GOAL.goalKey, goalText: 'reads' }] });
      expect(after.goals).toMatchObject([
        { id: before.goals[0]!.id, goalText: 'reads', baseline: '', domain: 0, measurementFrequency: 0, startDate: '' },
      ]);
      expect(await get(before.id)).toEqual(after);
    });

    it('keeps 100 in the order given', async () => {
      const goals = Array.from({ length: 100 }, (_, index) => ({ goalKey: `${index}`, goalText: 'reads' }));
      const { id } = await withGoals(...goals);
      const after = await edit({ id, goals: goals.toReversed() });
      expect(after.goals.map(({ goalKey }) => goalKey)).toEqual(goals.map(({ goalKey }) => goalKey).toReversed());
      expect(await get(id)).toEqual(after);
    });
  });

  it('names what it changed, never to what', async () => {
    const { id } = await draft({ content: { keep: 1, change: { a: 1 }, drop: null, 'a/b~c': 1 } });
    await edit({
      id,
      content: { keep: 1, change: { a: 2 }, 'a/b~c': 2, add: 'Secret' },
      goals: [{ ...GOAL, baseline: 'Secret' }],
      meetingDate: '2025-01-11',
      effectiveDate: '2025-01-16',
      reviewDate: '2026-01-15',
      kind: IepKind.TRANSFER,
    });
    expect(await pathsOf(id)).toEqual([
      '/kind',
      '/meeting_date',
      '/effective_date',
      '/review_date',
      '/content',
      '/goals/reading/baseline',
    ]);
    // Whose keys are the author's, like the values.
    await edit({ id, content: { 'Ada told us': 1 } });
    expect(await pathsOf(id)).toEqual(['/content']);
    await edit({ id, content: { 'Ada told us': 1 }, meetingDate: '2025-01-12' });
    expect(await pathsOf(id)).toEqual(['/meeting_date']);
  });

  describe('with a stale etag', () => {
    it('is told what changed since, and by whom', async () => {
      const { id } = await draft({ content: { a: 1 } });
      const save = (user: string, iep: Edit) => client.updateIep({ iep: { ...iep, id, etag: '*' } }, as(user));
      await save('Ann', { meetingDate: '2025-01-11' });
      await save('Bob', { content: { a: 2 }, meetingDate: '2025-01-12' });
      await save('Ann', { goals: [{ ...GOAL, baseline: 'more' }] });
      const mismatch = (paths: string, by: string) => ({
        code: 'Aborted',
        reason: 'ETAG_MISMATCH',
        committed: 'no',
        current_etag: '4',
        revision: '4',
        changed_paths: paths,
        changed_by: by,
      });
      const told = (etag: string) => refusalOf(client.updateIep({ iep: { id, etag, meetingDate: '2025-02-01' } }));
      expect(await told('1')).toEqual(mismatch('/meeting_date,/content,/goals/reading/baseline', 'Ann,Bob'));
      expect(await told('2')).toEqual(mismatch('/meeting_date,/content,/goals/reading/baseline', 'Bob,Ann'));
      expect(await told('3')).toEqual(mismatch('/goals/reading/baseline', 'Ann'));
      for (const never of ['5', '0', '01', '-1', 'x', ' 4', '4 ', '99999999999999999999', '**', '\u0000']) {
        expect(await told(never)).toEqual(mismatch('', ''));
      }
    });

    it('is told about a change of status too, and in few words about many', async () => {
      const { id } = await draft();
      for (let index = 0; index < 40; index++) {
        await edit({ id, goals: [{ ...GOAL, goalKey: String(index).padEnd(64, 'x') }] });
      }
      await client.submitIep({ iepId: id, etag: '*' }, as('Ann'));
      const refusal = await refusalOf(client.updateIep({ iep: { id, etag: '1', meetingDate: '2025-02-01' } }));
      expect(refusal).toMatchObject({ current_etag: '42', revision: '41', changed_by: 'editor,Ann' });
      expect(refusal['changed_paths']).toMatch(/^\/goals\/.*,…$/);
    });

    it('loses nothing of two people who edit different goals at once', async () => {
      const goals = [GOAL, { ...GOAL, goalKey: 'writing' }];
      const { id } = await draft({ goals });
      const people = goals.map(({ goalKey }) => async () => {
        let retries = 0;
        for (let read = await get(id); ; read = await get(id)) {
          const edited = read.goals.map((goal) => (goal.goalKey === goalKey ? { ...goal, baseline: goalKey } : goal));
          const call = client.updateIep({ iep: { id, etag: read.etag, goals: edited } }, as(goalKey));
          const end = await Promise.allSettled([call]);
          if (end[0].status === 'fulfilled') {
            return retries;
          }
          const other = goals.find((goal) => goal.goalKey !== goalKey)!.goalKey;
          expect(await refusalOf(call)).toMatchObject({
            reason: 'ETAG_MISMATCH',
            changed_paths: `/goals/${other}/baseline`,
            changed_by: other,
          });
          retries++;
        }
      });
      const retries = await Promise.all(people.map((person) => person()));
      const after = await get(id);
      expect(after.goals.map(({ baseline }) => baseline)).toEqual(['reading', 'writing']);
      expect(after.revision).toBe(3);
      expect(retries[0]! + retries[1]!).toBeLessThanOrEqual(1);
    });
  });

  it('loses none of those who take any etag, and tells each what it made', async () => {
    const { id } = await draft();
    const edits = Array.from({ length: 30 }, (_, index) => {
      const goals = [{ ...GOAL, goalKey: `g${index % 3}`, baseline: `${index}` }];
      return edit({ id, content: { [`${index}`]: index }, goals });
    });
    const after = await Promise.all(edits);
    after.forEach(({ content, goals }, index) => {
      expect(content).toEqual({ [`${index}`]: index });
      expect(goals).toMatchObject([{ goalKey: `g${index % 3}`, baseline: `${index}` }]);
    });
    expect(after.map(({ etag }) => Number(etag)).toSorted((a, b) => a - b)).toEqual(after.map((_, index) => index + 2));
    const last = after.find(({ etag }) => etag === '31');
    expect(await get(id)).toEqual(last);
  });

  describe('is refused', () => {
    it.each(STATUSES.filter((status) => status !== 'DRAFT' && status !== 'RETURNED'))('while %s', async (status) => {
      const before = await iepIn(client, status, FULL);
      const rows = await countRows(database);
      const attacks: [Edit, string[]][] = [
        [{ content: { attack: true } }, []],
        [{ goals: [] }, ['goals']],
        [{ goals: [{ ...before.goals[0]!, goalText: 'attack' }] }, []],
        [{}, ['*']],
        [{ meetingDate: '2020-01-01', effectiveDate: '2020-01-01', reviewDate: '2021-01-01' }, []],
        [{ kind: IepKind.TRANSFER }, []],
      ];
      for (const etag of [before.etag, '*']) {
        for (const [iep, paths] of attacks) {
          const call = client.updateIep({ iep: { ...iep, id: before.id, etag }, updateMask: { paths } });
          expect(await refusalOf(call)).toEqual({
            code: 'FailedPrecondition',
            committed: 'no',
            ...(status === 'UNDER_REVIEW'
              ? {
                  reason: 'ILLEGAL_TRANSITION',
                  from: status,
                  rpc: 'UpdateIep',
                  allowed: 'ReturnIep,ApproveIep,DiscardIep',
                }
              : { reason: 'CONTENT_FROZEN', status }),
          });
        }
      }
      expect(await get(before.id)).toEqual(before);
      expect(statusOf(before)).toBe(status);
      expect(await countRows(database)).toEqual(rows);
    });

    it.each<[string, Edit, string[], string[]]>([
      [
        'everything bad at once',
        { id: 'x', etag: '', meetingDate: 'soon', goals: [{}], kind: 9 as IepKind },
        [],
        ['iep.etag', 'iep.id', 'iep.kind', 'iep.goals[0].goal_text', 'iep.meeting_date'],
      ],
      ['nothing to change', {}, [], ['update_mask']],
      ['nothing but an empty content', { content: {} }, [], ['update_mask']],
      ['only output-only fields', { version: 3, createdBy: 'me' }, [], ['update_mask']],
      ['paths that are not there', {}, ['name', 'meeting_date', 'content.summary'], ['update_mask', 'update_mask']],
      ['output-only paths', {}, ['status', 'version', 'etag'], ['update_mask', 'update_mask', 'update_mask']],
      ['bad content', { content: { a: { b: 'x\u0000' } } }, [], ['iep.content.a.b']],
      ['goals with one key', { goals: [GOAL, GOAL] }, [], ['iep.goals[1].goal_key']],
      ['more than 100 goals', { goals: Array.from({ length: 101 }, () => ({ goalText: 'x' })) }, [], ['iep.goals']],
      ['dates in the wrong order', { effectiveDate: '2026-02-01', reviewDate: '2026-01-31' }, [], ['iep.review_date']],
      ['a review before the stored effective_date', { reviewDate: '2025-01-14' }, [], ['iep.review_date']],
      ['an effective_date after the stored review', { effectiveDate: '2026-01-15' }, [], ['iep.effective_date']],
      ['a kind that needs a base', { kind: IepKind.AMENDMENT }, [], ['iep.kind']],
      ['two of these', { kind: IepKind.CORRECTION, reviewDate: '2025-01-14' }, [], ['iep.kind', 'iep.review_date']],
    ])('with %s', async (_what, over, paths, fields) => {
      const { id } = await draft();
      const rows = await countRows(database);
      const iep = { id, etag: '*', ...over };
      expect(await refusalOf(client.updateIep({ iep, updateMask: { paths } }))).toEqual(invalid(...fields));
      expect(await countRows(database)).toEqual(rows);
    });

    it('without an IEP, and for one that is not there', async () => {
      expect(await refusalOf(client.updateIep({}))).toEqual(invalid('iep'));
      const id = randomUUID();
      expect(await refusalOf(edit({ id, meetingDate: '2025-01-01' }))).toEqual(notFound('Iep', id));
    });
  });

  describe.each(['AMENDMENT', 'CORRECTION'] as const)('of an %s', (kind) => {
    async function based(): Promise<Iep> {
      const { id: basedOnIepId, studentId } = await iepIn(client, 'ACTIVE', FULL);
      const request = { studentId, academicYear: YEAR, basedOnIepId, kind: IepKind[kind], effectiveDate: '2025-03-01' };
      return (await client.createIep(request)).iep!;
    }

    it('keeps its kind and review_date', async () => {
      const { id } = await based();
      const change = { kind: IepKind.ANNUAL, reviewDate: '2026-01-15' };
      expect(await refusalOf(edit({ ...change, id }))).toEqual(invalid('iep.kind', 'iep.review_date'));
      expect(await refusalOf(edit({ id }, ['review_date']))).toEqual(invalid('iep.review_date'));
      const other = { AMENDMENT: IepKind.CORRECTION, CORRECTION: IepKind.AMENDMENT }[kind];
      expect(await refusalOf(edit({ id, kind: other }))).toEqual(invalid('iep.kind'));
      expect(await refusalOf(edit({ id, effectiveDate: '2026-02-01' }))).toEqual(invalid('iep.effective_date'));
    });

    it('takes the same ones, and changes of the rest', async () => {
      const before = await based();
      const after = await edit({ ...before, etag: '*', content: { amended: true } }, ['*']);
      expect(after).toMatchObject({ kind: before.kind, reviewDate: before.reviewDate, content: { amended: true } });
      const { id, reviewDate } = before;
      expect((await edit({ id, reviewDate }, ['*'])).kind).toBe(before.kind);
    });
  });

  it('reaches nothing of another student', async () => {
    const other = await draft({ studentId: await newStudent(client) });
    const { id } = await draft();
    await edit({ id, goals: [] }, ['*']);
    expect(await get(other.id)).toEqual(other);
  });
});
