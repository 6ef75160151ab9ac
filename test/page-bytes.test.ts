/** Where pages end by their bytes, without a service: as if every message were measured. */
import { create, type DescMessage, type JsonObject, type JsonValue, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AuditEventSchema } from '../src/gen/iep/v1/audit_pb.ts';
import type { GoalContent, StoredDocument } from '../src/iep/iep-document.ts';
import type { ChangeEvent, Iep } from '../src/persistence/entities.ts';
import { LISTED_EVENTS, LISTED_IEPS } from '../src/rpc/listed.ts';
import { fillPage, type Listed, PAGE_BYTES } from '../src/rpc/pages.ts';

const SEED = 20_261_122;

/** A message of exactly so many bytes, of which is said that they are some more at most. */
interface Sized {
  readonly bytes: number;
  readonly slack: number;
}

/** What a string of so many bytes, 100,000 or more, has for its tag and its length. */
const frameOf = (bytes: number) => (bytes < 2 ** 21 ? 4 : 5);

const LISTED = {
  schema: AuditEventSchema,
  toMessage: ({ bytes }: Sized) => create(AuditEventSchema, { id: 'x'.repeat(bytes - frameOf(bytes)) }),
  bytesAtMost: ({ bytes, slack }: Sized) => bytes + slack,
};

async function countOf(sizes: readonly Sized[], size = 1000): Promise<number> {
  async function* rows(): AsyncGenerator<Sized, undefined> {
    yield* sizes;
  }
  const { page, last } = await fillPage(rows(), LISTED, size);
  expect(last).toBe(page.length < sizes.length ? page.at(-1) : undefined);
  expect(page.map((message) => toBinary(AuditEventSchema, message).byteLength)).toEqual(
    sizes.slice(0, page.length).map(({ bytes }) => bytes),
  );
  return page.length;
}

/** How many fit when each is measured; one always does. */
function expectedCount(sizes: readonly Sized[]): number {
  let left = PAGE_BYTES;
  const tooMany = sizes.findIndex(({ bytes }, index) => (left -= bytes) < 0 && index > 0);
  return tooMany === -1 ? sizes.length : tooMany;
}

describe('a page', () => {
  const third = PAGE_BYTES / 3;

  it.each([
    ['takes what fills it to the byte', [third, third, third, third], 3],
    ['leaves out what is a byte too long', [third, third, third + 1], 2],
    ['takes a first one of any size, alone', [PAGE_BYTES + 1, third], 1],
    ['leaves a large one to the next page', [third, PAGE_BYTES + 1], 1],
    ['ends where the list does', [third, third], 2],
  ])('%s', async (_what, all, count) => {
    for (const slack of [0, 1, third, PAGE_BYTES]) {
      expect(await countOf(all.map((bytes) => ({ bytes, slack })))).toBe(count);
    }
  });

  it('takes no more than were asked for', async () => {
    expect(
      await countOf(
        [third, third, third].map((bytes) => ({ bytes, slack: third })),
        2,
      ),
    ).toBe(2);
  });

  it('ends where it would if all were measured', async () => {
    const sized = fc.record({
      bytes: fc.integer({ min: 100_000, max: PAGE_BYTES / 2 }),
      slack: fc.integer({ min: 0, max: PAGE_BYTES }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(sized, { minLength: 1, maxLength: 20 }), async (sizes) => {
        expect(await countOf(sizes)).toBe(expectedCount(sizes));
      }),
      { seed: SEED, numRuns: 100 },
    );
  });
});

const NAME = '\u{1f989}'.repeat(200);
const UUID = '0198c0de-0000-7000-8000-000000000000';
const TIME = new Date('2199-12-31T23:59:59.999Z');
const DATE = '2199-12-31';

/** With all fields as long as they may be, besides content and goals. */
function documentOf(content: JsonObject, goals: readonly GoalContent[]): StoredDocument {
  const iep: Iep = {
    districtId: 'd',
    id: UUID,
    studentId: UUID,
    academicYear: '2025-2026',
    version: 2 ** 31 - 1,
    parentVersionId: UUID,
    basedOnIepId: UUID,
    kind: 'TRANSFER',
    status: 'DISCARDED',
    content,
    meetingDate: DATE,
    effectiveDate: DATE,
    reviewDate: DATE,
    createdBy: NAME,
    createTime: TIME,
    updateTime: TIME,
    approvedBy: NAME,
    approveTime: TIME,
    contentSha256: 'f'.repeat(64),
    revision: 2 ** 31 - 1,
    rowVersion: 2 ** 31 - 1,
  };
  return { iep, goals, jsonLength: JSON.stringify(content).length + JSON.stringify(goals.map(valuesOf)).length };
}

/** A row as the database gives it in JSON, without the names of its columns. */
function valuesOf(row: object): unknown[] {
  return Object.values(row).map((value: unknown) => (Array.isArray(value) ? value.map(valuesOf) : value));
}

function goalOf(text: string): GoalContent {
  return {
    id: UUID,
    lineageId: UUID,
    goalKey: text,
    domain: 'OTHER',
    goalText: text,
    baseline: text,
    targetCriteria: text,
    measurementMethod: text,
    measurementFrequency: 'TERM',
    startDate: DATE,
    targetDate: DATE,
    progressStatus: 'MASTERED',
    progress: [{ id: UUID, status: 'MASTERED', note: text, recordedBy: text, recordTime: TIME }],
  };
}

/** So many lists, each in the one before. */
function nested(depth: number): JsonObject {
  return { a: JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as JsonValue };
}

/** What `bytesAtMost` allows beyond the message's bytes. */
function roomOf<Row, Desc extends DescMessage>(
  { schema, toMessage, bytesAtMost }: Listed<Row, Desc>,
  row: Row,
): number {
  return bytesAtMost(row) - toBinary(schema, toMessage(row)).byteLength;
}

describe('what a message has at most', () => {
  it.each([
    ['numbers', { a: Array.from({ length: 100_000 }, () => 1) }],
    ['empty texts', { a: Array.from({ length: 50_000 }, () => '') }],
    ['empty lists', { a: Array.from({ length: 50_000 }, () => []) }],
    ['lists in lists', nested(1000)],
    ['keys', Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [index.toString(36), 1]))],
    ['characters of three bytes', { a: '\u8a9e'.repeat(80_000) }],
    ['nothing', {}],
  ])('is enough for content of %s', (_what, content) => {
    expect(roomOf(LISTED_IEPS, documentOf(content, []))).toBeGreaterThanOrEqual(0);
  });

  it('is enough for any document', () => {
    const content = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }));
    const goals = fc.array(fc.string({ unit: 'binary', maxLength: 4000 }).map(goalOf), { maxLength: 5 });
    fc.assert(
      fc.property(content, goals, (given, made) => {
        const document = documentOf(JSON.parse(JSON.stringify(given)) as JsonObject, made);
        expect(roomOf(LISTED_IEPS, document)).toBeGreaterThanOrEqual(0);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it.each([[[]], [['']], [Array.from({ length: 1000 }, () => '\u8a9e'.repeat(100))]])(
    'is enough for an audit event',
    (changedPaths) => {
      const event = {
        id: UUID,
        eventTime: TIME,
        actor: NAME,
        rpc: 'RecordGoalProgress',
        studentId: UUID,
        iepId: UUID,
        changedPaths,
        contentSha256: 'f'.repeat(64),
      } as unknown as ChangeEvent;
      expect(roomOf(LISTED_EVENTS, event)).toBeGreaterThanOrEqual(0);
    },
  );
});
