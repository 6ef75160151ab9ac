/** The comparison itself, without a service: what it says of any two documents, however much they differ. */
import { type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChangeOperation, ChangeSchema } from '../src/gen/iep/v1/comparison_pb.ts';
import { compareDocuments } from '../src/iep/compare-ieps.ts';
import { compareJson, MAX_DIFFERENCES } from '../src/iep/compare-json.ts';
import type { GoalContent, IepDocument } from '../src/iep/iep-document.ts';
import { toChanges } from '../src/rpc/changes.ts';
import type { Iep } from '../src/persistence/entities.ts';
import { applyChanges, type SeenChange, statementOf, valueAt, withValues } from './support/changes.ts';

const ROOM = 3 * 1024 * 1024;

function documentOf(content: JsonObject, goals: GoalContent[] = [], dates: Partial<Iep> = {}): IepDocument {
  const time = new Date(0);
  const iep = { id: 'a', academicYear: '2025-2026', kind: 'INITIAL', status: 'DRAFT', createdBy: 'a', rowVersion: 1 };
  return { iep: { ...iep, content, createTime: time, updateTime: time, ...dates } as unknown as Iep, goals };
}

/** The changes as ProtoJSON. */
function changesOf(from: IepDocument, to: IepDocument): SeenChange[] {
  const options = { useProtoFieldName: true };
  return toChanges(compareDocuments(from, to), ROOM).map(
    (change) => toJson(ChangeSchema, change, options) as unknown as SeenChange,
  );
}

const aKey = fc.oneof(
  fc.constantFrom('', '__proto__', 'constructor', 'toString', 'length', 'a/b', '~', '~1', '/', '0', '2', '10', '-'),
  fc.constantFrom('\ue000', '\u{1f989}', 'é', 'e\u0301', 'a b', '"'),
  fc.string({ maxLength: 3, unit: 'binary' }),
);
const aLeaf = fc.oneof(
  fc.constantFrom<JsonValue>(null, true, false, '', 0, 1, '0', {}, []),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value || 0),
  fc.string({ maxLength: 4, unit: 'binary' }),
);

type Pair<T> = [T, T];

/** Two values that have more or less in common. */
const { pair: aPair, object: aPairOfObjects } = fc.letrec<{
  pair: Pair<JsonValue>;
  array: Pair<JsonValue>;
  object: Pair<JsonObject>;
}>((tie) => ({
  pair: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 3, arbitrary: aLeaf.map((value): Pair<JsonValue> => [value, value]) },
    { weight: 1, arbitrary: fc.tuple(aLeaf, aLeaf) },
    {
      weight: 1,
      arbitrary: fc.tuple(tie('pair'), tie('pair')).map(([[one], [other]]): Pair<JsonValue> => [one, other]),
    },
    { weight: 3, arbitrary: tie('array') },
    { weight: 3, arbitrary: tie('object') },
  ),
  array: fc
    .tuple(fc.array(tie('pair'), { maxLength: 4 }), fc.nat({ max: 4 }), fc.nat({ max: 4 }))
    .map(([pairs, one, other]): Pair<JsonValue> => [
      pairs.slice(one % 3).map(([value]) => value),
      pairs.slice(0, pairs.length - (other % 3)).map(([, value]) => value),
    ]),
  object: fc
    .array(fc.tuple(aKey, tie('pair'), fc.constantFrom('both', 'both', 'first', 'second')), { maxLength: 5 })
    .map((entries): Pair<JsonObject> => {
      const side = (of: 0 | 1, without: string): JsonObject =>
        Object.fromEntries(
          entries.flatMap(([key, values, where]) => (where === without ? [] : [[key, values[of]] as const])),
        );
      return [side(0, 'second'), side(1, 'first')];
    }),
}));

const aText = fc.constantFrom('', 'reads', 'writes', 'reads 100 words');
const aDate = fc.constantFrom(null, '2025-09-01', '2026-06-15');
const aGoal: fc.Arbitrary<GoalContent> = fc.record({
  id: fc.uuid(),
  lineageId: fc.uuid(),
  progressStatus: fc.constant('NOT_STARTED'),
  progress: fc.constant([]),
  goalKey: fc.constantFrom('a', 'b', '1', '10', '__proto__', 'constructor', '-_'),
  domain: fc.constantFrom(null, 'READING', 'VOCATIONAL_TRANSITION'),
  goalText: fc.constantFrom('reads', 'writes'),
  baseline: aText,
  targetCriteria: aText,
  measurementMethod: aText,
  measurementFrequency: fc.constantFrom(null, 'WEEKLY', 'TERM'),
  startDate: aDate,
  targetDate: aDate,
});
const someGoals = fc.uniqueArray(aGoal, { selector: ({ goalKey }) => goalKey, maxLength: 7 });
const someDates = fc.record({ meetingDate: aDate, effectiveDate: aDate, reviewDate: aDate });

const aPairOfDocuments = fc
  .record({
    content: aPairOfObjects,
    goals: fc.tuple(someGoals, someGoals, fc.boolean()),
    dates: fc.tuple(someDates, someDates),
  })
  .map(({ content, goals: [first, second, kept], dates }): Pair<IepDocument> => {
    // Goals that stay as they were, in another order.
    const later = kept ? [...second, ...first].filter(isFirstOfItsKey).toReversed() : second;
    return [documentOf(content[0], first, dates[0]), documentOf(content[1], later, dates[1])];
  });

const isFirstOfItsKey = (goal: GoalContent, index: number, goals: GoalContent[]) =>
  goals.findIndex(({ goalKey }) => goalKey === goal.goalKey) === index;

/** The same JSON with the keys of its objects in the opposite order. */
function turned(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  return Array.isArray(value)
    ? value.map(turned)
    : Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, item]) => [key, turned(item)]),
      );
}

describe('the changes between any two documents', () => {
  it('make the second one of the first', () => {
    fc.assert(
      fc.property(aPairOfDocuments, ([from, to]) => {
        const made = applyChanges(statementOf(from), changesOf(from, to));
        expect(canonicalize(made)).toBe(canonicalize(statementOf(to)));
      }),
      { numRuns: 1000 },
    );
  });

  it('are none exactly when they say the same', () => {
    fc.assert(
      fc.property(aPairOfDocuments, ([from, to]) => {
        const same = canonicalize(statementOf(from)) === canonicalize(statementOf(to));
        expect(changesOf(from, to).length === 0).toBe(same);
        expect(changesOf(to, structuredClone(to))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('are the same whatever order the keys are kept in, and backwards they are the opposite', () => {
    fc.assert(
      fc.property(aPair, ([one, other]) => {
        const changes = changesOf(documentOf({ one }), documentOf({ one: other }));
        expect(changesOf(documentOf({ one: turned(one) }), documentOf({ one: turned(other) }))).toEqual(changes);
        const back = { ADDED: 'REMOVED', REMOVED: 'ADDED', CHANGED: 'CHANGED' } as Record<string, string>;
        const opposite = changes.map(({ path, operation, before, after }) => ({
          path,
          operation: operation.replace(/[A-Z]+$/, (name) => back[name]!),
          ...(after !== undefined && { before: after }),
          ...(before !== undefined && { after: before }),
        }));
        expect(changesOf(documentOf({ one: other }), documentOf({ one }))).toEqual(opposite);
      }),
      { numRuns: 500 },
    );
  });
});

const numbers = (length: number, from: number) => Array.from({ length }, (_, index) => (from + index) % 10);
const keys = (count: number, value: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key${index}`, value]));
/** The leaf in arrays of `length`, `depth` of them in each other. */
const nested = (depth: number, length: number, leaf: number): JsonValue =>
  depth === 0 ? leaf : Array.from({ length }, () => nested(depth - 1, length, leaf));
const thirds = (from: number) => ({ a: numbers(2000, from), b: numbers(2000, from), c: [numbers(2000, from)] });
const deep = (depth: number, leaf: JsonValue): JsonObject => ({ a: depth === 2 ? leaf : deep(depth - 1, leaf) });

describe('documents of 256 KiB', () => {
  const long = 'é'.repeat(65_536);

  it.each<[string, string, JsonObject, JsonObject]>([
    ['130,000 numbers shifted by one', '/a', { a: numbers(130_000, 0) }, { a: [7, ...numbers(129_999, 0)] }],
    ['20,000 keys', '', keys(20_000, 1), keys(20_000, 2)],
    ['20,000 keys 16 deep', '/a'.repeat(15), deep(16, keys(20_000, 1)), deep(16, keys(20_000, 2))],
    [
      '60,000 numbers under a key of 128 KiB',
      `/${long}`,
      { [long]: numbers(60_000, 0) },
      { [long]: numbers(60_000, 1) },
    ],
    [
      '2,401 numbers 4 deep under a key of 128 KiB, and too many of the arrays that they are in',
      `/${long}`,
      { [long]: nested(4, 7, 1) },
      { [long]: nested(4, 7, 2) },
    ],
    ['6,000 numbers, a third of them each in an array', '', thirds(1), thirds(2)],
  ])('are one change where too many places differ to list: %s', (_what, place, before, after) => {
    const one = { content: before };
    const other = { content: after };
    const path = `/content${place}`;
    const expected = { path, operation: 'CHANGED', before: valueAt(one, path), after: valueAt(other, path) };
    expect(compareJson('/content', before, after)).toEqual([expected]);
  });

  it('are listed as far as 5,000 changes go', () => {
    const found = compareJson('/content', deep(16, keys(5000, 1)), deep(16, keys(5000, 2)));
    expect(found).toHaveLength(5000);
    expect(found[0]).toEqual({ path: `/content${'/a'.repeat(15)}/key0`, operation: 'CHANGED', before: 1, after: 2 });
    expect(compareJson('/content', keys(5001, 1), keys(5001, 2))).toHaveLength(1);
  });

  it('have one change for each array that is too much, beside the changes around it', () => {
    const found = compareJson(
      '/content',
      { a: numbers(5001, 0), b: { c: numbers(6000, 0), d: 1 }, e: numbers(4997, 0) },
      { a: numbers(5001, 1), b: { c: numbers(6000, 1), d: 2 }, e: numbers(4997, 1) },
    );
    expect(found.map(({ path }) => path)).toEqual([
      '/content/a',
      '/content/b/c',
      '/content/b/d',
      ...numbers(4997, 0).map((_, index) => `/content/e/${index}`),
    ]);
  });

  it('have changes that make the second one of the first, however many places differ', () => {
    const aLength = fc.constantFrom(0, 2, 1666, 1667, 4999, 5000, 5001, 5500);
    const anArray = fc.tuple(aLength, fc.nat({ max: 1 })).map(([length, from]) => numbers(length, from));
    const aContent = fc.record({ a: anArray, b: fc.record({ c: anArray, d: fc.array(anArray, { maxLength: 2 }) }) });
    fc.assert(
      fc.property(aContent, aContent, (one, other) => {
        const [from, to] = [documentOf(one), documentOf(other)];
        const changes = changesOf(from, to);
        expect(changes.length).toBeLessThanOrEqual(MAX_DIFFERENCES);
        expect(changesOf(to, from).map(({ path }) => path)).toEqual(changes.map(({ path }) => path));
        const told = withValues(changes, statementOf(from), statementOf(to));
        const made = applyChanges(statementOf(from), told);
        expect(canonicalize(made)).toBe(canonicalize(statementOf(to)));
      }),
      { numRuns: 30 },
    );
  });
});

describe('values', () => {
  it.each([
    [14_999, true],
    [15_000, false],
  ])('of arrays of %i numbers on both sides are told: %s', (length, told) => {
    const differences = [
      { path: '/content/a', operation: 'CHANGED', before: numbers(length, 0), after: numbers(length, 1) },
      { path: '/content/b', operation: 'CHANGED', before: {}, after: numbers(1000, 0) },
      { path: '/content/c', operation: 'ADDED', after: 1 },
    ] as const;
    const [first, second, third] = toChanges(differences, ROOM);
    expect([first?.before, first?.after].map((value) => value !== undefined)).toEqual([told, told]);
    expect([second?.before, second?.after].map((value) => value !== undefined)).toEqual([!told, !told]);
    expect(third?.after === undefined).toBe(told);
    expect(third).toMatchObject({ path: '/content/c', operation: ChangeOperation.ADDED });
  });
});

it('leaves values out that do not fit, and keeps the later ones that do', () => {
  const differences = [
    { path: '/content/a', operation: 'CHANGED', before: 'x'.repeat(100), after: 'y' },
    { path: '/content/b', operation: 'ADDED', after: 'x'.repeat(900) },
    { path: '/review_date', operation: 'REMOVED', before: '2026-01-01' },
  ] as const;
  const [first, second, third] = toChanges(differences, 500);
  expect(first).toMatchObject({ before: {}, after: {} });
  expect(second).toMatchObject({ path: '/content/b', operation: ChangeOperation.ADDED });
  expect(second?.after).toBeUndefined();
  expect(third).toMatchObject({ before: { kind: { value: '2026-01-01' } } });
});
