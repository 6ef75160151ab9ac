/** Documents that move from one status to another: every cell of the table, comments, events and answers. */
import { randomUUID } from 'node:crypto';
import { PreconditionFailureSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { afterEach, describe, expect, it } from 'vitest';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { as, COMPLETE, iepIn, type Move, move, MOVES, STATUSES, statusOf } from './support/lifecycle.ts';
import { countRows, refusalOf } from './support/refusal.ts';
import { newStudent, YEAR } from './support/samples.ts';
import { failureOf, type IepClient } from './support/service.ts';
import type { Row, TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

/** What each call makes of each status; the others refuse. */
const TABLE: Record<string, Partial<Record<Move, string>>> = {
  DRAFT: { submitIep: 'UNDER_REVIEW', discardIep: 'DISCARDED' },
  UNDER_REVIEW: { returnIep: 'RETURNED', approveIep: 'APPROVED', discardIep: 'DISCARDED' },
  RETURNED: { submitIep: 'UNDER_REVIEW', discardIep: 'DISCARDED' },
  APPROVED: { activateIep: 'ACTIVE', discardIep: 'DISCARDED' },
  ACTIVE: { endIep: 'ENDED' },
  SUPERSEDED: {},
  ENDED: {},
  DISCARDED: {},
};

const ALLOWED: Record<string, string> = {
  DRAFT: 'UpdateIep,SubmitIep,DiscardIep',
  UNDER_REVIEW: 'ReturnIep,ApproveIep,DiscardIep',
  RETURNED: 'UpdateIep,SubmitIep,DiscardIep',
  APPROVED: 'ActivateIep,DiscardIep',
  ACTIVE: 'EndIep',
  SUPERSEDED: '',
  ENDED: '',
  DISCARDED: '',
};

const rpcOf = (name: string) => `${name[0]!.toUpperCase()}${name.slice(1)}`;

describeOnBoth('the life of a document', (backend) => {
  let database: TestDatabase;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, client } = started));
  afterEach(() => expectInvariants(database));

  const get = async (iepId: string) => (await client.getIep({ iepId })).iep!;

  async function eventsOf(iepId: string): Promise<Row[]> {
    const rows = await database.query('select * from events where iep_id = ? order by seq', iepId);
    return rows.map(({ changed_paths: paths, ...row }) => ({
      ...row,
      changed_paths: typeof paths === 'string' ? JSON.parse(paths) : paths,
    }));
  }

  async function commentsOf(iepId: string): Promise<unknown[]> {
    const rows = await database.query(
      `select comment from event_comments join events on events.district_id = event_comments.district_id
       and events.id = event_id where iep_id = ? order by seq`,
      iepId,
    );
    return rows.map(({ comment }) => comment);
  }

  const cells = STATUSES.flatMap((status) =>
    MOVES.map((name): [string, Move, string | undefined] => [status, name, TABLE[status]![name]]),
  );

  it.each(cells.filter(([, , to]) => to === undefined))('is not moved from %s by %s', async (status, name) => {
    const before = await iepIn(client, status);
    const rows = await countRows(database);
    const request = { iepId: before.id, etag: before.etag, comment: 'because' };
    const failure = await failureOf(client[name](request, as('approver')));
    expect(await refusalOf(Promise.reject(failure))).toEqual({
      code: 'FailedPrecondition',
      reason: 'ILLEGAL_TRANSITION',
      committed: 'no',
      from: status,
      rpc: rpcOf(name),
      allowed: ALLOWED[status],
    });
    const [detail] = failure.findDetails(PreconditionFailureSchema);
    expect(detail?.violations).toMatchObject([{ type: 'ILLEGAL_TRANSITION', subject: 'status' }]);
    expect(await get(before.id)).toEqual(before);
    expect(await countRows(database)).toEqual(rows);
  });

  it.each(cells.filter(([, , to]) => to !== undefined))('is moved from %s by %s to %s', async (from, name, to) => {
    const before = await iepIn(client, from);
    const request = { iepId: before.id, etag: before.etag, comment: 'because' };
    const { iep: after } = await client[name](request, as('approver'));
    expect(statusOf(after!)).toBe(to);
    const { status, updateTime, approveTime, contentSha256 } = after!;
    const approval = to === 'APPROVED' ? { approvedBy: 'approver', approveTime, contentSha256 } : {};
    const etag = String(Number(before.etag) + 1);
    expect(after).toEqual({ ...before, ...approval, status, updateTime, etag });
    expect(timestampDate(updateTime!) >= timestampDate(before.updateTime!)).toBe(true);
    expect(await get(before.id)).toEqual(after);
    expect((await eventsOf(before.id)).at(-1)).toMatchObject({
      rpc: rpcOf(name),
      actor: 'approver',
      from_status: from,
      to_status: to,
      row_version: Number(etag),
      changed_paths: ['/status'],
      content_sha256: to === 'APPROVED' ? contentSha256 : null,
      event_time: backend.instant(timestampDate(updateTime!)),
    });
  });

  it('goes from draft to end, back once, and again to a successor', async () => {
    const iep = await iepIn(client, 'DRAFT');
    const steps: Move[] = ['submitIep', 'returnIep', 'submitIep', 'approveIep', 'activateIep', 'endIep'];
    const statuses = [];
    let { etag } = iep;
    for (const name of steps) {
      const moved = await move(client, iep.id, name, { etag, comment: ` ${name}\n ` });
      expect(moved.etag).not.toBe(etag);
      etag = moved.etag;
      statuses.push(statusOf(moved));
    }
    expect(statuses).toEqual(['UNDER_REVIEW', 'RETURNED', 'UNDER_REVIEW', 'APPROVED', 'ACTIVE', 'ENDED']);
    expect(await commentsOf(iep.id)).toEqual(steps);
    const events = await eventsOf(iep.id);
    expect(events.map(({ row_version: version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(events.slice(1).map(({ from_status: from }) => from)).toEqual(
      events.slice(0, -1).map(({ to_status: to }) => to),
    );
    const next = await iepIn(client, 'ACTIVE', { studentId: iep.studentId });
    expect(next.version).toBe(2);
    expect(statusOf(await get(iep.id))).toBe('ENDED');
  });

  describe('a comment', () => {
    it.each<[Move, string]>([
      ['returnIep', 'UNDER_REVIEW'],
      ['endIep', 'ACTIVE'],
      ['discardIep', 'DRAFT'],
    ])('is required by %s', async (name, status) => {
      const { id: iepId } = await iepIn(client, status);
      for (const comment of ['', ' \n\t', '\u200b\u2800']) {
        const refusal = await refusalOf(client[name]({ iepId, etag: '*', comment }));
        expect(refusal).toMatchObject({ reason: 'INVALID_FIELD', fields: ['comment'] });
      }
      expect(statusOf(await get(iepId))).toBe(status);
    });

    it.each<[Move, string]>([
      ['submitIep', 'DRAFT'],
      ['approveIep', 'UNDER_REVIEW'],
      ['activateIep', 'APPROVED'],
    ])('may be left out of %s', async (name, status) => {
      const { id: iepId } = await iepIn(client, status);
      const before = await commentsOf(iepId);
      await move(client, iepId, name, { comment: ' ' });
      expect(await commentsOf(iepId)).toEqual(before);
    });

    it.each(MOVES)('of %s is checked like every text', async (name) => {
      const iepId = randomUUID();
      for (const comment of ['x'.repeat(4001), 'a\u0000', 'a\rb', 'a\u202e', '🦉'.repeat(4001)]) {
        const refusal = await refusalOf(client[name]({ iepId, etag: '*', comment }));
        expect(refusal).toMatchObject({ reason: 'INVALID_FIELD', fields: ['comment'] });
      }
    });

    it('is kept as it is said, trimmed and normalised', async () => {
      const { id } = await iepIn(client, 'DRAFT');
      const comments = ['🦉'.repeat(4000), 'Zoe\u0308\n\t“so”', "'; drop table events; --"];
      await move(client, id, 'submitIep', { comment: comments[0] });
      await move(client, id, 'returnIep', { comment: ` ${comments[1]} ` });
      await move(client, id, 'discardIep', { comment: comments[2] });
      expect(await commentsOf(id)).toEqual([comments[0], 'Zo\u00eb\n\t“so”', comments[2]]);
    });
  });

  it.each(MOVES)('%s is refused with all bad fields at once, and for what is not there', async (name) => {
    const bad = { iepId: 'x', etag: '', comment: 'a\u0000', requestId: 'y' };
    expect(await refusalOf(client[name](bad))).toMatchObject({
      reason: 'INVALID_FIELD',
      fields: ['etag', 'iep_id', 'comment', 'request_id'],
    });
    const iepId = randomUUID();
    expect(await refusalOf(client[name]({ iepId, etag: '*', comment: 'x' }))).toEqual({
      code: 'NotFound',
      reason: 'IEP_NOT_FOUND',
      committed: 'no',
      resource: `iep.v1.Iep ${iepId}`,
    });
  });

  it('refuses a stale etag before the status is looked at, and says who changed it', async () => {
    const { id: iepId, etag } = await iepIn(client, 'DRAFT');
    await client.submitIep({ iepId, etag }, as('a colleague'));
    const refusal = await refusalOf(client.submitIep({ iepId, etag }));
    expect(refusal).toEqual({
      code: 'Aborted',
      reason: 'ETAG_MISMATCH',
      committed: 'no',
      current_etag: '2',
      revision: '1',
      changed_paths: '/status',
      changed_by: 'a colleague',
    });
  });

  describe('a submission', () => {
    const draft = async (over: object) => {
      const empty = { content: {}, goals: [], ...over };
      return (await iepIn(client, 'DRAFT', empty)).id;
    };

    it('needs a goal or some content', async () => {
      const failure = await failureOf(client.submitIep({ iepId: await draft({}), etag: '*' }));
      expect(await refusalOf(Promise.reject(failure))).toEqual({
        code: 'FailedPrecondition',
        reason: 'SUBMISSION_EMPTY',
        committed: 'no',
      });
      const [detail] = failure.findDetails(PreconditionFailureSchema);
      expect(detail?.violations).toMatchObject([{ type: 'SUBMISSION_EMPTY', subject: 'goals' }]);
    });

    it.each([{ content: { a: null } }, { goals: [{ goalText: 'reads' }] }])('is content with %j', async (over) => {
      expect(statusOf(await move(client, await draft(over), 'submitIep'))).toBe('UNDER_REVIEW');
    });
  });

  describe('an activation', () => {
    const today = (offset = 0) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
    const approved = (effectiveDate: string, studentId?: string) =>
      iepIn(client, 'APPROVED', { effectiveDate, reviewDate: '2199-01-01', ...(studentId && { studentId }) });

    it('waits for the effective_date', async () => {
      const effectiveDate = today(2);
      const { id: iepId } = await approved(effectiveDate);
      const failure = await failureOf(client.activateIep({ iepId, etag: '*' }));
      expect(await refusalOf(Promise.reject(failure))).toEqual({
        code: 'FailedPrecondition',
        reason: 'NOT_YET_EFFECTIVE',
        committed: 'no',
      });
      const [detail] = failure.findDetails(PreconditionFailureSchema);
      expect(detail?.violations).toMatchObject([{ type: 'NOT_YET_EFFECTIVE', subject: 'effective_date' }]);
      expect(detail?.violations[0]?.description).toContain(effectiveDate);
      expect(statusOf(await move(client, (await approved(today())).id, 'activateIep'))).toBe('ACTIVE');
    });

    it('puts the version in force before out of force, in whichever year, with an event for each', async () => {
      const studentId = await newStudent(client);
      const years = ['2024-2025', YEAR, YEAR];
      const ieps: Iep[] = [];
      for (const academicYear of years) {
        const { id } = await iepIn(client, 'APPROVED', { studentId, academicYear });
        ieps.push(await move(client, id, 'activateIep', { requestId: randomUUID() }));
      }
      const now = await Promise.all(ieps.map(({ id }) => get(id)));
      expect(now.map(statusOf)).toEqual(['SUPERSEDED', 'SUPERSEDED', 'ACTIVE']);
      expect(now.map(({ etag }) => etag)).toEqual(['5', '5', '4']);
      for (const [index, { id }] of ieps.slice(0, 2).entries()) {
        const [activated, superseded] = (await eventsOf(id)).slice(-2);
        expect(activated).toMatchObject({ rpc: 'ActivateIep', request_index: 0, to_status: 'ACTIVE', row_version: 4 });
        expect(superseded).toMatchObject({
          rpc: 'ActivateIep',
          request_index: 1,
          from_status: 'ACTIVE',
          to_status: 'SUPERSEDED',
          row_version: 5,
          changed_paths: ['/status'],
        });
        const [cause] = (await eventsOf(ieps[index + 1]!.id)).slice(3);
        expect(superseded?.['request_id']).toBe(cause?.['request_id']);
        expect(Number(superseded?.['seq'])).toBeLessThan(Number(cause?.['seq']));
      }
    });

    it('leaves the versions of others alone', async () => {
      const [one, other] = [await iepIn(client, 'ACTIVE'), await iepIn(client, 'ACTIVE')];
      expect([statusOf(await get(one.id)), statusOf(await get(other.id))]).toEqual(['ACTIVE', 'ACTIVE']);
    });
  });

  it('keeps the draft of an edit that the reviewer asked for', async () => {
    const { id, revision } = await iepIn(client, 'RETURNED');
    const { iep } = await client.updateIep({ iep: { id, etag: '*', content: { summary: 'better' } } });
    expect(statusOf(iep!)).toBe('RETURNED');
    expect(iep!.revision).toBe(revision + 1);
    await move(client, id, 'submitIep');
    expect(await move(client, id, 'approveIep')).toMatchObject({
      content: { summary: 'better' },
      goals: COMPLETE.goals,
    });
  });
});
