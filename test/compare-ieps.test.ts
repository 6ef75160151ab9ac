/** What changed between two documents, through the service. */
import { create, type JsonObject, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect, it } from 'vitest';
import {
  ChangeOperation,
  CompareIepsRequestSchema,
  type CompareIepsResponse,
  CompareIepsResponseSchema,
} from '../src/gen/iep/v1/comparison_pb.ts';
import { GoalDomain, type GoalSchema, type Iep, IepKind, MeasurementFrequency } from '../src/gen/iep/v1/iep_pb.ts';
import { type CreateIepRequestSchema, IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { invalid, notFound, refusalOf, refusalsOf } from './support/refusal.ts';
import { newIep, newStudent, YEAR } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';
import { callByGrpc } from './support/wire.ts';
import type { SeenChange } from './support/changes.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';
const FOUR_MIB = 4 * 1024 * 1024;

type Written = Omit<MessageInitShape<typeof CreateIepRequestSchema>, 'studentId' | '$typeName'>;
type GoalInit = MessageInitShape<typeof GoalSchema>;
type Line = [path: string, operation: 'ADDED' | 'REMOVED' | 'CHANGED', ...values: unknown[]];

/** Short: path, operation, then those of the values that there are. */
function linesOf(response: CompareIepsResponse): Line[] {
  const { changes = [] } = toJson(CompareIepsResponseSchema, response) as { changes?: SeenChange[] };
  return changes.map(({ path, operation, ...values }) => [
    path,
    operation.replace('CHANGE_OPERATION_', '') as Line[1],
    ...Object.values(values),
  ]);
}

/** Changes to content: path below /content, then as a Line. */
const CONTENTS: [string, JsonObject, JsonObject, ...Line[]][] = [
  ['nothing in common', { a: 1 }, { b: 2 }, ['/a', 'REMOVED', 1], ['/b', 'ADDED', 2]],
  ['the same in another order', { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
  [
    'values deep inside',
    { levels: { reading: { score: 61, note: 'slow' } } },
    { levels: { reading: { score: 72.5, note: 'slow' } } },
    ['/levels/reading/score', 'CHANGED', 61, 72.5],
  ],
  [
    'an element at the front, which moves the others',
    { a: ['x', 'y'] },
    { a: ['w', 'x', 'y'] },
    ['/a/0', 'CHANGED', 'x', 'w'],
    ['/a/1', 'CHANGED', 'y', 'x'],
    ['/a/2', 'ADDED', 'y'],
  ],
  ['shorter arrays', { a: [1, 2, 3] }, { a: [1] }, ['/a/1', 'REMOVED', 2], ['/a/2', 'REMOVED', 3]],
  [
    'objects in arrays',
    { services: [{ kind: 'speech', minutes: 30 }] },
    { services: [{ kind: 'speech', minutes: 45 }] },
    ['/services/0/minutes', 'CHANGED', 30, 45],
  ],
  [
    'values of another kind',
    { a: [], b: {}, c: null, d: '1', e: false, f: { '0': 1 } },
    { a: {}, b: null, c: 0, d: 1, e: '', f: [1] },
    ['/a', 'CHANGED', [], {}],
    ['/b', 'CHANGED', {}, null],
    ['/c', 'CHANGED', null, 0],
    ['/d', 'CHANGED', '1', 1],
    ['/e', 'CHANGED', false, ''],
    ['/f', 'CHANGED', { '0': 1 }, [1]],
  ],
  ['a null that comes and one that goes', { a: null }, { b: null }, ['/a', 'REMOVED', null], ['/b', 'ADDED', null]],
  [
    'keys that a pointer escapes',
    { '': 1, 'a/b': { '~1': 1 }, '~': 1 },
    { '': 2, 'a/b': { '~1': 2 }, '~': 2 },
    ['/', 'CHANGED', 1, 2],
    ['/a~1b/~01', 'CHANGED', 1, 2],
    ['/~0', 'CHANGED', 1, 2],
  ],
  [
    'keys that every object inherits',
    JSON.parse('{"a":{"__proto__":{"b":1}},"toString":1}') as JsonObject,
    JSON.parse('{"a":{"__proto__":{"b":2}},"constructor":{},"__proto__":[1]}') as JsonObject,
    ['/__proto__', 'ADDED', [1]],
    ['/a/__proto__/b', 'CHANGED', 1, 2],
    ['/constructor', 'ADDED', {}],
    ['/toString', 'REMOVED', 1],
  ],
  [
    'keys by UTF-16 code units, and indexes by number',
    { a: Array.from({ length: 11 }, () => 0) },
    { a: [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], '\ue000': 1, '\u{1f989}': 1, B: 1, '10': 1, '9': 1 },
    ['/10', 'ADDED', 1],
    ['/9', 'ADDED', 1],
    ['/B', 'ADDED', 1],
    ['/a/2', 'CHANGED', 0, 1],
    ['/a/10', 'CHANGED', 0, 1],
    ['/\u{1f989}', 'ADDED', 1],
    ['/\ue000', 'ADDED', 1],
  ],
];

describeOnBoth('a comparison', (backend) => {
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ service, client } = started));

  async function written(...documents: Written[]): Promise<Iep[]> {
    const studentId = await newStudent(client);
    const ieps = [];
    for (const document of documents) {
      ieps.push((await client.createIep({ academicYear: YEAR, ...document, studentId })).iep!);
    }
    return ieps;
  }

  async function compared(from: Written, to: Written): Promise<Line[]> {
    const [one, other] = await written(from, to);
    return linesOf(await client.compareIeps({ fromIepId: one!.id, toIepId: other!.id }));
  }

  it.each(CONTENTS)('of content finds %s', async (_what, from, to, ...lines) => {
    const expected = lines.map(([path, ...rest]) => [`/content${path}`, ...rest]);
    expect(await compared({ content: from }, { content: to })).toEqual(expected);
  });

  const READING: GoalInit = {
    goalKey: 'reading',
    domain: GoalDomain.READING,
    goalText: 'Reads.',
    baseline: '60 words',
    measurementFrequency: MeasurementFrequency.WEEKLY,
    startDate: '2025-09-01',
  };
  const of = (goalKey: string, goalText = 'reads'): GoalInit => ({ goalKey, goalText });

  it('of goals finds each by its key, in the order of the second document, those that are gone last', async () => {
    const changed: GoalInit = {
      ...READING,
      domain: GoalDomain.VOCATIONAL_TRANSITION,
      baseline: '',
      targetDate: '2026-06-15',
      startDate: '2025-10-01',
      measurementFrequency: MeasurementFrequency.TERM,
    };
    const lines = await compared(
      { goals: [of('gone'), READING, of('__proto__'), of('10'), of('same')] },
      { goals: [of('same'), of('new', 'swims'), changed, of('10', 'writes'), of('2')] },
    );
    expect(lines).toEqual([
      ['/goals/new', 'ADDED', { goal_key: 'new', goal_text: 'swims' }],
      ['/goals/reading/baseline', 'REMOVED', '60 words'],
      ['/goals/reading/domain', 'CHANGED', 'GOAL_DOMAIN_READING', 'GOAL_DOMAIN_VOCATIONAL_TRANSITION'],
      ['/goals/reading/measurement_frequency', 'CHANGED', 'MEASUREMENT_FREQUENCY_WEEKLY', 'MEASUREMENT_FREQUENCY_TERM'],
      ['/goals/reading/start_date', 'CHANGED', '2025-09-01', '2025-10-01'],
      ['/goals/reading/target_date', 'ADDED', '2026-06-15'],
      ['/goals/10/goal_text', 'CHANGED', 'reads', 'writes'],
      ['/goals/2', 'ADDED', { goal_key: '2', goal_text: 'reads' }],
      ['/goals/gone', 'REMOVED', { goal_key: 'gone', goal_text: 'reads' }],
      ['/goals/__proto__', 'REMOVED', { goal_key: '__proto__', goal_text: 'reads' }],
    ]);
  });

  it('tells a goal as a whole with all that it says', async () => {
    const full = { ...READING, targetCriteria: '4 of 5', measurementMethod: 'probes', targetDate: '2026-06-15' };
    expect(await compared({ goals: [full] }, {})).toEqual([
      [
        '/goals/reading',
        'REMOVED',
        {
          goal_key: 'reading',
          domain: 'GOAL_DOMAIN_READING',
          goal_text: 'Reads.',
          baseline: '60 words',
          target_criteria: '4 of 5',
          measurement_method: 'probes',
          measurement_frequency: 'MEASUREMENT_FREQUENCY_WEEKLY',
          start_date: '2025-09-01',
          target_date: '2026-06-15',
        },
      ],
    ]);
  });

  it('of dates finds those that are given, gone or moved, after content and goals', async () => {
    const lines = await compared(
      { meetingDate: '2025-08-20', reviewDate: '2026-08-19' },
      { content: { a: 1 }, goals: [of('a')], effectiveDate: '2025-09-01', reviewDate: '2026-08-31' },
    );
    expect(lines).toEqual([
      ['/content/a', 'ADDED', 1],
      ['/goals/a', 'ADDED', { goal_key: 'a', goal_text: 'reads' }],
      ['/effective_date', 'ADDED', '2025-09-01'],
      ['/meeting_date', 'REMOVED', '2025-08-20'],
      ['/review_date', 'CHANGED', '2026-08-19', '2026-08-31'],
    ]);
  });

  it('finds nothing but what the authors said: not kind, year, version or the order of goals', async () => {
    const said = { content: { a: [1, { b: null }] }, meetingDate: '2025-08-20' };
    const lines = await compared(
      { ...said, kind: IepKind.INITIAL, goals: [of('a'), of('b')] },
      { ...said, kind: IepKind.TRANSFER, academicYear: '2026-2027', goals: [of('b'), of('a')] },
    );
    expect(lines).toEqual([]);
  });

  it('of a document with itself is empty', async () => {
    const [iep] = await written({ content: { a: 1 }, goals: [READING], reviewDate: '2026-08-19' });
    expect((await client.compareIeps({ fromIepId: iep!.id, toIepId: iep!.id.toUpperCase() })).changes).toEqual([]);
  });

  it('is the same over every protocol, and by GET', async () => {
    const [one, other] = await written(
      { content: { a: null, 'ключ/🦉': [1] }, goals: [READING] },
      { content: { a: { b: [{}] }, 'ключ/🦉': [-0.5] }, effectiveDate: '2025-09-01' },
    );
    const byGet = createClient(
      IEPService,
      createConnectTransport({ baseUrl: service.httpUrl, httpVersion: '1.1', useHttpGet: true }),
    );
    const clients = [...Object.values(clientsOf(service)), byGet];
    const answers = await Promise.all(
      clients.map((caller) => caller.compareIeps({ fromIepId: one!.id, toIepId: other!.id })),
    );
    expect(answers).toEqual(answers.map(() => answers[0]));
    expect(linesOf(answers[0]!)).toMatchObject([
      ['/content/a', 'CHANGED', null, { b: [{}] }],
      ['/content/ключ~1🦉/0', 'CHANGED', 1, -0.5],
      ['/goals/reading', 'REMOVED', {}],
      ['/effective_date', 'ADDED', '2025-09-01'],
    ]);
  });

  it('of documents of two students is refused', async () => {
    const [one] = await written({});
    const [other] = await written({});
    const refusal = await refusalOf(client.compareIeps({ fromIepId: one!.id, toIepId: other!.id }));
    expect(refusal).toEqual(invalid('to_iep_id'));
  });

  it('names the document that there is not', async () => {
    const { id } = await newIep(client, await newStudent(client));
    const other = UNKNOWN.replace(/0$/, '1');
    const refusals = await refusalsOf([
      client.compareIeps({ fromIepId: UNKNOWN, toIepId: id }),
      client.compareIeps({ fromIepId: id, toIepId: UNKNOWN }),
      client.compareIeps({ fromIepId: UNKNOWN, toIepId: UNKNOWN }),
      client.compareIeps({ fromIepId: other, toIepId: UNKNOWN }),
    ]);
    expect(refusals).toEqual([UNKNOWN, UNKNOWN, UNKNOWN, other].map((name) => notFound('Iep', name)));
  });

  it('can be read by a client that takes 4 MiB, however large the documents are', async () => {
    const text = (character: string) => character.repeat(2000);
    const large = (character: string, first: number): Written => ({
      content: { a: Array.from({ length: 130_000 }, (_, index) => (first + index) % 10) },
      goals: Array.from({ length: 100 }, (_, index) => ({
        goalKey: `g${index}`,
        goalText: text(character),
        baseline: text(character),
        targetCriteria: text(character),
        measurementMethod: text(character),
      })),
      effectiveDate: `2025-01-0${first}`,
    });
    const [one, other] = await written(large('é', 1), large('語', 2));
    const request = create(CompareIepsRequestSchema, { fromIepId: one!.id, toIepId: other!.id });
    const bytes = toBinary(CompareIepsRequestSchema, request);
    // grpc-js has the usual limit.
    const answer = await callByGrpc(service.grpcUrl, '/iep.v1.IEPService/CompareIeps', bytes);
    expect(answer.byteLength).toBeLessThan(FOUR_MIB);

    const { changes } = await client.compareIeps(request);
    expect(changes).toHaveLength(1 + 400 + 1);
    expect(changes.every(({ operation }) => operation === ChangeOperation.CHANGED)).toBe(true);
    const without = changes.filter(({ before, after }) => before === undefined && after === undefined);
    expect(without.length).toBeGreaterThan(50);
    expect(without[0]?.path).toBe('/content/a');
    expect(without.slice(1).every(({ path }) => path.startsWith('/goals/'))).toBe(true);
    expect(changes.filter((change) => !without.includes(change)).every(({ before, after }) => before && after)).toBe(
      true,
    );
    expect(changes.at(-1)).toMatchObject({ path: '/effective_date', before: {}, after: {} });
  });
});
