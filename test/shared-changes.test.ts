/** Changes of documents that share a unit of work: each gets what it would get alone. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { as, GOAL, iepIn, move, statusOf } from './support/lifecycle.ts';
import { countWaits, occupy } from './support/occupy.ts';
import { notFound, refusalOf } from './support/refusal.ts';
import { newStudent } from './support/samples.ts';
import { startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

describeOnBoth('changes that share a unit of work', (backend) => {
  let database: TestDatabase;
  let service: Awaited<ReturnType<typeof startInProcess>>;

  beforeEach(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'info' });
  });
  afterEach(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const get = async (iepId: string) => (await service.client.getIep({ iepId })).iep!;
  const edit = (id: string, etag: string, iep: object, user = 'editor') =>
    service.client.updateIep({ iep: { ...iep, id, etag } }, as(user)).then((answer) => answer.iep!);

  /** Makes the calls while another process holds the chain: the first waits for it, the others share the next unit. */
  async function together(
    studentId: string,
    first: () => Promise<Iep>,
    calls: (() => Promise<Iep>)[],
  ): Promise<PromiseSettledResult<Iep>[]> {
    const release = await occupy(database, studentId);
    const waiting = first();
    await vi.waitUntil(async () => (await countWaits(database, service.log)) > 0, { timeout: 10_000 });
    const started = Promise.allSettled(calls.map((call) => call()));
    // Chains are looked up in the order of the calls, so those before it have gone on when this one is answered.
    const unknown = randomUUID();
    expect(await refusalOf(move(service.client, unknown, 'submitIep'))).toEqual(notFound('Iep', unknown));
    await release();
    await waiting;
    return started;
  }

  const valuesOf = (ends: PromiseSettledResult<Iep>[]) =>
    ends.map((end) => {
      if (end.status === 'rejected') {
        throw end.reason;
      }
      return end.value;
    });
  const refusalIn = (end: PromiseSettledResult<Iep> | undefined) =>
    refusalOf(end?.status === 'rejected' ? Promise.reject(end.reason) : Promise.resolve());

  it('gives a goal_key that goes and comes again a goal of its own each time', async () => {
    const { id, studentId, goals } = await iepIn(service.client, 'DRAFT');
    const goalsOf = (goalKey: string) => () => edit(id, '*', { goals: [{ ...GOAL, goalKey, baseline: randomUUID() }] });
    const ends = await together(studentId, goalsOf('a'), ['b', 'a', 'b', 'b', 'reading', 'a'].map(goalsOf));
    const saved = valuesOf(ends);
    expect(saved.map(({ etag }) => etag)).toEqual(['3', '4', '5', '6', '7', '8']);
    expect(saved.map((iep) => iep.goals[0]?.goalKey)).toEqual(['b', 'a', 'b', 'b', 'reading', 'a']);
    const ids = saved.map((iep) => iep.goals[0]?.id);
    expect(ids[2]).toBe(ids[3]);
    expect(new Set([...ids, goals[0]!.id]).size).toBe(6);
    expect(await get(id)).toEqual(saved.at(-1));
  });

  it('tells each stale call what happened until it was looked at, and repeats what was made', async () => {
    const { id, studentId } = await iepIn(service.client, 'DRAFT');
    const requestId = randomUUID();
    const submit = () => move(service.client, id, 'submitIep', { requestId, etag: '4' });
    const ends = await together(studentId, () => edit(id, '1', { meetingDate: '2025-01-01' }, 'Ann'), [
      () => edit(id, '1', { content: { b: 1 } }),
      () => edit(id, '2', { content: { c: 1 } }, 'Bob'),
      () => edit(id, '2', { content: { d: 1 } }),
      () => edit(id, '*', { goals: [{ ...GOAL, baseline: 'new' }] }, 'Cleo'),
      () => edit(id, '1', { content: { e: 1 } }),
      () => edit(id, '*', { reviewDate: '2000-01-01' }),
    ]);
    const mismatch = (current: string, paths: string, by: string) => ({
      code: 'Aborted',
      reason: 'ETAG_MISMATCH',
      committed: 'no',
      current_etag: current,
      revision: current,
      changed_paths: paths,
      changed_by: by,
    });
    expect(await refusalIn(ends[0])).toEqual(mismatch('2', '/meeting_date', 'Ann'));
    expect(ends[1]).toMatchObject({ value: { etag: '3', content: { c: 1 }, goals: [{ baseline: GOAL.baseline }] } });
    expect(await refusalIn(ends[2])).toEqual(mismatch('3', '/content', 'Bob'));
    expect(ends[3]).toMatchObject({ value: { etag: '4', content: { c: 1 }, goals: [{ baseline: 'new' }] } });
    const all = '/meeting_date,/content,/goals/reading/baseline';
    expect(await refusalIn(ends[4])).toEqual(mismatch('4', all, 'Ann,Bob,Cleo'));
    expect(await refusalIn(ends[5])).toMatchObject({ reason: 'INVALID_FIELD', fields: ['iep.review_date'] });
    expect(await get(id)).toMatchObject({ etag: '4', revision: 4 });

    const moves = await together(studentId, submit, [
      submit,
      () => move(service.client, id, 'submitIep'),
      () => move(service.client, id, 'approveIep', { etag: '4' }),
      () => move(service.client, id, 'discardIep'),
      submit,
      () => move(service.client, id, 'returnIep'),
    ]);
    expect(moves[0]).toMatchObject({ value: { etag: '5' } });
    expect(await refusalIn(moves[1])).toMatchObject({ reason: 'ILLEGAL_TRANSITION', from: 'UNDER_REVIEW' });
    expect(await refusalIn(moves[2])).toMatchObject({ current_etag: '5', changed_paths: '/status' });
    expect(moves[3]).toMatchObject({ value: { etag: '6' } });
    expect(moves[4]).toMatchObject({ value: { etag: '6' } });
    expect(await refusalIn(moves[5])).toMatchObject({ reason: 'ILLEGAL_TRANSITION', from: 'DISCARDED' });
  });

  it('tells a stale call what happened, beside another whose document has thousands of changes', async () => {
    const studentId = await newStudent(service.client);
    const [long, short] = [
      await iepIn(service.client, 'DRAFT', { studentId }),
      await iepIn(service.client, 'DRAFT', { studentId }),
    ];
    await Promise.all(Array.from({ length: 1100 }, () => edit(long.id, '*', { meetingDate: '2025-01-02' })));
    await edit(short.id, '*', { meetingDate: '2025-01-02' }, 'Ann');
    const ends = await together(studentId, () => edit(long.id, '*', { meetingDate: '2025-01-03' }, 'Bob'), [
      () => edit(long.id, '1', { content: { a: 1 } }),
      () => edit(short.id, '1', { content: { a: 1 } }),
    ]);
    expect(await Promise.all(ends.map(refusalIn))).toMatchObject([
      { current_etag: '1102', changed_by: 'editor,Bob', changed_paths: '/meeting_date' },
      { current_etag: '2', changed_by: 'Ann', changed_paths: '/meeting_date' },
    ]);
  });

  it('lets activations of one student supersede one another, each in a unit of its own', async () => {
    const studentId = await newStudent(service.client);
    const ieps: Iep[] = [];
    for (let count = 0; count < 4; count++) {
      ieps.push(await iepIn(service.client, 'APPROVED', { studentId }));
    }
    const [first, ...others] = ieps.toReversed();
    const activate = ({ id }: Iep) => move(service.client, id, 'activateIep');
    const ends = await together(
      studentId,
      () => activate(first!),
      others.map((iep) => () => activate(iep)),
    );
    const activated = valuesOf(ends);
    expect(activated.map(statusOf)).toEqual(['ACTIVE', 'ACTIVE', 'ACTIVE']);
    const now = await Promise.all(ieps.map(({ id }) => get(id)));
    expect(now.map(statusOf)).toEqual(['ACTIVE', 'SUPERSEDED', 'SUPERSEDED', 'SUPERSEDED']);
    expect(now.map(({ etag }) => etag)).toEqual(['4', '5', '5', '5']);
  });
});
