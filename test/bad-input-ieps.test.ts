/** Documents that are refused. Their content has a suite of its own. */
import { fromJson, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type GoalSchema, IepKind } from '../src/gen/iep/v1/iep_pb.ts';
import { CreateIepRequestSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals, invalid, refusalOf, refusalsOf } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';

type Request = MessageInitShape<typeof CreateIepRequestSchema>;
type GoalInit = MessageInitShape<typeof GoalSchema>;

const LONG = 4001;

const BAD_DATES = [
  '2025-02-30',
  '2025-02-29',
  '2025-13-01',
  '2025-00-10',
  '2025-1-1',
  '01/02/2025',
  '1899-12-31',
  '2200-01-01',
  '2025-01-01 ',
  '２０２５-01-01',
  '+002025-01-01',
  '2025-01-01T00:00:00Z',
  'tomorrow',
];

const GOAL_TEXTS = ['goalText', 'baseline', 'targetCriteria', 'measurementMethod'] as const;

describeRefusals('bad documents', (fixture) => {
  const create = (request: Request) =>
    fixture.client.createIep({ studentId: fixture.student.id, academicYear: YEAR, ...request });
  const refusalOfGoals = (...goals: GoalInit[]) => refusalOf(create({ goals }));

  it.each([IepKind.AMENDMENT, IepKind.CORRECTION])('refuses kind %i, which needs a base', async (kind) => {
    expect(await refusalsOf([create({ kind }), create({ kind, validateOnly: true })])).toEqual([
      invalid('based_on_iep_id'),
      invalid('based_on_iep_id'),
    ]);
  });

  it('refuses kinds and goal enums that there are not', async () => {
    const json: JsonObject = { kind: 7, goals: [{ goalText: 'reads', domain: -1, measurementFrequency: 6 }] };
    const { kind, goals } = fromJson(CreateIepRequestSchema, json);
    const { fields } = await refusalOf(create({ kind, goals }));
    expect(fields?.toSorted()).toEqual(['goals[0].domain', 'goals[0].measurement_frequency', 'kind']);
  });

  describe.each(BAD_DATES)('date %j', (day) => {
    it('is refused everywhere, and nothing is compared with it', async () => {
      const goal = { goalText: 'reads' };
      const refusals = await refusalsOf([
        create({ meetingDate: day }),
        create({ effectiveDate: day, reviewDate: '1900-01-01' }),
        create({ effectiveDate: '2199-12-31', reviewDate: day }),
        create({ goals: [{ ...goal, startDate: day, targetDate: '1900-01-01' }] }),
        create({ goals: [{ ...goal, startDate: '2199-12-31', targetDate: day }] }),
      ]);
      expect(refusals).toEqual([
        invalid('meeting_date'),
        invalid('effective_date'),
        invalid('review_date'),
        invalid('goals[0].start_date'),
        invalid('goals[0].target_date'),
      ]);
    });
  });

  it('refuses a review before the document is in force, and a target before the start', async () => {
    const goals = [{ goalText: 'reads', startDate: '2025-09-02', targetDate: '2025-09-01' }];
    const refusal = await refusalOf(create({ effectiveDate: '2025-09-02', reviewDate: '2025-09-01', goals }));
    expect(refusal).toEqual(invalid('review_date', 'goals[0].target_date'));
  });

  it('refuses more than 100 goals', async () => {
    const goals = Array.from({ length: 101 }, () => ({ goalText: 'reads' }));
    expect(await refusalOfGoals(...goals)).toEqual(invalid('goals'));
  });

  it.each(['a b', 'a.b', 'é', 'a\n', ' a', '"', 'x'.repeat(65)])('refuses goal_key %j', async (goalKey) => {
    expect(await refusalOfGoals({ goalText: 'reads' }, { goalKey, goalText: 'reads' })).toEqual(
      invalid('goals[1].goal_key'),
    );
  });

  it('refuses a goal_key twice', async () => {
    const keys = ['a', 'b', 'a', 'A', 'b', '', ''];
    const goals = keys.map((goalKey) => ({ goalKey, goalText: 'reads' }));
    expect(await refusalOfGoals(...goals)).toEqual(invalid('goals[2].goal_key', 'goals[4].goal_key'));
  });

  it.each(['', '  \n', '\u200b', '\u2800'])('refuses %j as goal_text', async (goalText) => {
    expect(await refusalOfGoals({ goalText })).toEqual(invalid('goals[0].goal_text'));
  });

  it.each([
    ['too long', 'x'.repeat(LONG)],
    ['too long in characters beyond 16 bits', '🦉'.repeat(LONG)],
    ['with NUL', 'a\u0000'],
    ['with a carriage return', 'a\rb'],
    ['with an escape', 'a\u001b[2J'],
    ['with an override of direction', 'a\u202e'],
  ])('refuses texts of a goal %s', async (_what, text) => {
    const goal = Object.fromEntries(GOAL_TEXTS.map((name) => [name, text]));
    expect(await refusalOfGoals(goal)).toEqual(
      invalid(...['goal_text', 'baseline', 'target_criteria', 'measurement_method'].map((name) => `goals[0].${name}`)),
    );
  });

  it('refuses an expected_latest_version that is not the latest', async () => {
    const mismatch = (expected: number, actual: number) => ({
      code: 'Aborted',
      reason: 'VERSION_MISMATCH',
      committed: 'no',
      expected: String(expected),
      actual: String(actual),
    });
    const academicYear = '2040-2041';
    const refusals = await refusalsOf([
      create({ expectedLatestVersion: 0 }),
      create({ expectedLatestVersion: 2 }),
      create({ expectedLatestVersion: 2, validateOnly: true }),
      create({ expectedLatestVersion: 1, academicYear }),
    ]);
    expect(refusals).toEqual([mismatch(0, 1), mismatch(2, 1), mismatch(2, 1), mismatch(1, 0)]);
    expect(
      await refusalsOf([create({ expectedLatestVersion: -1 }), create({ expectedLatestVersion: -(2 ** 31) })]),
    ).toEqual([invalid('expected_latest_version'), invalid('expected_latest_version')]);
  });

  it('keeps the details small, however long the paths', async () => {
    const key = '語'.repeat(100);
    const content: JsonObject = {};
    for (let index = 0; index < 100; index++) {
      content[`${index}`] = { [key]: { [key]: { [key]: { [key]: { [key]: { [key]: '\u0000' } } } } } };
    }
    const { fields } = await refusalOf(create({ content }));
    expect(fields?.length).toBeGreaterThan(1);
    expect(fields?.length).toBeLessThan(20);
  });
});
