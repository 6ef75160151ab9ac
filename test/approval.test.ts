/** What approval asks for, and the hash that it leaves. */
import { createHash } from 'node:crypto';
import { create, type JsonObject, type MessageInitShape, toJson } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import canonicalize from 'canonicalize';
import { describe, expect, it } from 'vitest';
import { PreconditionFailureSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import { GoalDomain, type GoalSchema, type Iep, IepSchema } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { as, COMPLETE, GOAL, iepIn, move, statusOf } from './support/lifecycle.ts';
import { refusalOf } from './support/refusal.ts';
import { clientsOf, failureOf, type IepClient, type RunningService } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';

type Over = Parameters<typeof iepIn>[2];
type GoalInit = MessageInitShape<typeof GoalSchema>;

/** As a client would compute it, by the words of the contract. */
function hashOf({ content, meetingDate, effectiveDate, reviewDate, goals }: Iep): string {
  const kept = create(IepSchema, {
    ...(content && { content }),
    meetingDate,
    effectiveDate,
    reviewDate,
    goals: goals.map((goal) => ({
      goalKey: goal.goalKey,
      domain: goal.domain,
      goalText: goal.goalText,
      baseline: goal.baseline,
      targetCriteria: goal.targetCriteria,
      measurementMethod: goal.measurementMethod,
      measurementFrequency: goal.measurementFrequency,
      startDate: goal.startDate,
      targetDate: goal.targetDate,
    })),
  });
  return createHash('sha256')
    .update(canonicalize(toJson(IepSchema, kept))!)
    .digest('hex');
}

describeOnBoth('approval', (backend) => {
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ service, client } = started));

  const submitted = (over: Over = {}) => iepIn(client, 'UNDER_REVIEW', over);

  /** The reason of the refusal, with the paths of the gaps. */
  async function gapsOf(iepId: string, user = 'approver') {
    const failure = await failureOf(client.approveIep({ iepId, etag: '*' }, as(user)));
    const { code, committed, reason } = await refusalOf(Promise.reject(failure));
    expect({ code, committed }).toEqual({ code: 'FailedPrecondition', committed: 'no' });
    const violations = failure.findDetails(PreconditionFailureSchema).flatMap((detail) => detail.violations);
    violations.forEach(({ type, description }) => {
      expect(type).toBe(reason);
      expect(description).not.toBe('');
    });
    expect(statusOf((await client.getIep({ iepId })).iep!)).toBe('UNDER_REVIEW');
    return { reason, gaps: violations.map(({ subject }) => subject) };
  }
  const incomplete = (...gaps: string[]) => ({ reason: 'APPROVAL_INCOMPLETE', gaps });

  it.each<[string, Over, string[]]>([
    ['an effective_date', { effectiveDate: '' }, ['effective_date']],
    ['a review_date', { reviewDate: '' }, ['review_date']],
    ['a goal', { goals: [] }, ['goals']],
    ['a baseline', { goals: [{ ...GOAL, baseline: '' }] }, ['goals[0].baseline']],
    ['target_criteria', { goals: [{ ...GOAL, targetCriteria: '' }] }, ['goals[0].target_criteria']],
    ['a measurement_method', { goals: [{ ...GOAL, measurementMethod: '' }] }, ['goals[0].measurement_method']],
    ['a measurement_frequency', { goals: [{ ...GOAL, measurementFrequency: 0 }] }, ['goals[0].measurement_frequency']],
    ['a text that can be seen', { goals: [{ ...GOAL, baseline: '\u200b\u2800' }] }, ['goals[0].baseline']],
    [
      'all of it, and says so at once',
      { effectiveDate: '', reviewDate: '', goals: [GOAL, { goalText: 'reads' }] },
      [
        'effective_date',
        'review_date',
        'goals[1].baseline',
        'goals[1].target_criteria',
        'goals[1].measurement_method',
        'goals[1].measurement_frequency',
      ],
    ],
  ])('needs %s', async (_what, over, gaps) => {
    const { id } = await submitted(over);
    expect(await gapsOf(id)).toEqual(incomplete(...gaps));
  });

  it('is not for who created the document', async () => {
    const { id } = await submitted();
    expect(await gapsOf(id, 'teacher')).toEqual({ reason: 'APPROVER_IS_AUTHOR', gaps: ['created_by'] });
    const gap = await submitted({ reviewDate: '' });
    expect(await gapsOf(gap.id, 'teacher')).toEqual(incomplete('review_date', 'created_by'));
    // Who edited or submitted it may approve it.
    expect(statusOf(await move(client, id, 'approveIep'))).toBe('APPROVED');
  });

  it('lists 20 gaps, and counts the rest', async () => {
    const { id } = await submitted({ goals: Array.from({ length: 100 }, () => ({ goalText: 'reads' })) });
    const failure = await failureOf(client.approveIep({ iepId: id, etag: '*' }, as('approver')));
    expect(failure.findDetails(PreconditionFailureSchema)[0]?.violations).toHaveLength(20);
    expect(failure.rawMessage).toContain('380 further ones');
  });

  it('names the approver and the moment', async () => {
    const { id } = await submitted();
    const approved = await move(client, id, 'approveIep');
    expect(approved.approvedBy).toBe('approver');
    expect(approved.approveTime).toEqual(approved.updateTime);
    expect(timestampDate(approved.approveTime!) >= timestampDate(approved.createTime!)).toBe(true);
  });

  it('works over every protocol', async () => {
    for (const by of Object.values(clientsOf(service))) {
      const { id } = await submitted();
      const approved = await move(by, id, 'approveIep');
      expect(approved.contentSha256).toBe(hashOf(approved));
    }
  });

  describe('leaves a hash that a client can compute again', () => {
    const full: GoalInit = { ...GOAL, domain: GoalDomain.READING, startDate: '2025-09-01', targetDate: '2026-06-01' };
    it.each<[string, Over]>([
      ['a small document', {}],
      ['an empty content', { content: {} }],
      ['every field of a goal', { goals: [full, { ...GOAL, goalKey: '' }], meetingDate: '2025-01-10' }],
      [
        'a content of all kinds',
        { content: JSON.parse('{"é":1e21,"e":[-0,0.1,1e-7,123456789012345680000,null,true,{}],"__proto__":{"a":[]}}') },
      ],
      ['texts beyond ASCII', { goals: [{ ...GOAL, baseline: 'Zoe\u0308 \u2028 🦉 "\\\n\t' }] }],
    ])('of %s', async (_what, over) => {
      const { id } = await submitted(over);
      const approved = await move(client, id, 'approveIep');
      expect(approved.contentSha256).toBe(hashOf(approved));
      await move(client, id, 'activateIep');
      const { iep } = await client.getIep({ iepId: id });
      expect(iep?.contentSha256).toBe(approved.contentSha256);
    });

    it('of what is said, and of nothing else', async () => {
      const hashes = [];
      const content: JsonObject = { b: 1, a: { d: 2, c: 3 } };
      for (const over of [{ content }, { content: { a: { c: 3, d: 2 }, b: 1 } }, { content: { a: {}, b: 1 } }]) {
        const { id } = await submitted(over);
        hashes.push((await move(client, id, 'approveIep')).contentSha256);
      }
      expect(hashes[0]).toBe(hashes[1]);
      expect(hashes[0]).not.toBe(hashes[2]);
      expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
    });
  });

  it('may follow a return, and is of what was corrected then', async () => {
    const { id } = await submitted({ reviewDate: '' });
    await gapsOf(id);
    await move(client, id, 'returnIep');
    await client.updateIep({ iep: { id, etag: '*', reviewDate: COMPLETE.reviewDate } }, as('teacher'));
    await move(client, id, 'submitIep');
    const approved = await move(client, id, 'approveIep');
    expect(approved.contentSha256).toBe(hashOf(approved));
  });
});
