/** The hash of an approved document is that of its ProtoJSON form. */
import { createHash } from 'node:crypto';
import { type JsonObject, toJson } from '@bufbuild/protobuf';
import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { GoalDomain, IepSchema, MeasurementFrequency } from '../src/gen/iep/v1/iep_pb.ts';
import { contentSha256 } from '../src/iep/content-hash.ts';
import type { IepDocument } from '../src/iep/iep-document.ts';
import { toIep } from '../src/rpc/messages.ts';

const KEPT = ['content', 'meetingDate', 'effectiveDate', 'reviewDate', 'goals'];
const KEPT_OF_GOALS = [
  'goalKey',
  'domain',
  'goalText',
  'baseline',
  'targetCriteria',
  'measurementMethod',
  'measurementFrequency',
  'startDate',
  'targetDate',
];

const only = (json: JsonObject, names: readonly string[]) =>
  Object.fromEntries(Object.entries(json).filter(([name]) => names.includes(name)));

/** The message as a client has it, in ProtoJSON, reduced to what the contract keeps. */
function reduced(document: IepDocument): JsonObject {
  const json = toJson(IepSchema, toIep(document)) as JsonObject;
  const goals = json['goals'] as JsonObject[] | undefined;
  return { ...only(json, KEPT), ...(goals && { goals: goals.map((goal) => only(goal, KEPT_OF_GOALS)) }) };
}

const text = fc.string({ unit: 'grapheme' });
const day = fc.option(fc.constantFrom('1900-01-01', '2025-02-28', '2199-12-31'));
const nameIn = (values: object) =>
  fc.option(fc.constantFrom(...Object.keys(values).filter((key) => key !== 'UNSPECIFIED')));

const goal = fc.record({
  id: fc.uuid(),
  lineageId: fc.uuid(),
  progressStatus: fc.constant('NOT_STARTED'),
  progress: fc.constant([]),
  goalKey: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
  domain: nameIn(GoalDomain),
  goalText: text,
  baseline: text,
  targetCriteria: text,
  measurementMethod: text,
  measurementFrequency: nameIn(MeasurementFrequency),
  startDate: day,
  targetDate: day,
});

const content = fc.dictionary(text, fc.jsonValue({ depthSize: 'small' }));

const document = fc
  .record({
    content,
    meetingDate: day,
    effectiveDate: day,
    reviewDate: day,
    goals: fc.array(goal, { maxLength: 5 }),
    id: fc.uuid(),
    studentId: fc.uuid(),
    version: fc.integer({ min: 1, max: 99 }),
    createdBy: text,
    approvedBy: fc.option(text),
    createTime: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }),
  })
  .map(({ goals, ...iep }): IepDocument => {
    const other = { districtId: 'd', academicYear: '2025-2026', parentVersionId: null, basedOnIepId: null };
    const state = { kind: 'ANNUAL', status: 'APPROVED', revision: 3, rowVersion: 4, contentSha256: null };
    return { iep: { ...iep, ...other, ...state, updateTime: iep.createTime, approveTime: iep.createTime }, goals };
  });

it('hashes what the contract says, of any document', () => {
  fc.assert(
    fc.property(document, (each) => {
      const expected = createHash('sha256')
        .update(canonicalize(reduced(each))!)
        .digest('hex');
      expect(contentSha256(each)).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});
