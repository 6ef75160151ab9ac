/** Rows behind a COPY: as PostgreSQL reads them, and what becomes of them where a statement before fails. */
import * as fc from 'fast-check';
import type { Client, QueryResult } from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { copyRows, CopyingQuery } from '../src/persistence/dialects/copying-query.ts';
import { connectForSuite, textsWith } from './support/pg-client.ts';

const aText = textsWith('\\', '\\.', '\\N', '\n', '\r', '\t', '\\n', "'", '"', ';\n', 'é');
const aRow = fc.record({ number: fc.integer({ min: 0, max: 2 ** 31 - 1 }), text: fc.option(aText), doc: fc.object() });
let client: Client;

connectForSuite((connected) => (client = connected));
beforeEach(() => client.query('create temporary table copied (number integer, text text, doc json)'));
afterEach(() => client.query('drop table copied'));

const send = (...statements: string[]) =>
  new Promise<QueryResult[]>((resolve, reject) => {
    const done = (error: Error | null, result: unknown) =>
      error === null ? resolve([result].flat() as QueryResult[]) : reject(error);
    client.query(new CopyingQuery(statements, done) as never);
  });
const copyOf = (...rows: Readonly<Record<string, unknown>>[]) => copyRows('copied', Object.keys(rows[0]!), rows);
const numbers = async () => (await client.query('select number from copied order by number')).rows as unknown[];

it('are what they were', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aRow, { minLength: 1, maxLength: 5 }), async (rows) => {
      const copy = copyOf(...rows);
      const [, copied, all] = await send('truncate copied', copy, 'select number, text, doc::text from copied');
      expect(copied).toMatchObject({ command: 'COPY', rowCount: rows.length });
      expect(all!.rows).toEqual(rows.map((row) => ({ ...row, doc: JSON.stringify(row.doc) })));
    }),
  );
});

it('follow each other, with other statements between and behind them', async () => {
  const results = await send(
    copyOf({ number: 1 }),
    'select 7 as seven',
    copyOf({ number: 2 }, { number: 3 }),
    'select count(*)::integer from copied',
  );
  expect(results.map(({ rows }) => rows)).toEqual([[], [{ seven: 7 }], [], [{ count: 3 }]]);
});

it.each([
  ['a statement before them', ['select 1 / 0', copyOf({ number: 1 })], '22012'],
  ['a row of theirs', [copyOf({ number: 1 }, { number: 'x' }, { number: 2 }), copyOf({ number: 3 })], '22P02'],
  ['a row of the second', [copyOf({ number: 1 }), copyOf({ number: 'x' })], '22P02'],
  ['the table', [copyOf({ number: 1 }).replace('copied', 'nothing'), copyOf({ number: 2 })], '42P01'],
])('are passed over where %s fails', async (_what, statements, code) => {
  await expect(send(...statements)).rejects.toMatchObject({ code });
  expect(await numbers()).toEqual([]);
  await send(copyOf({ number: 4 }));
  expect(await numbers()).toEqual([{ number: 4 }]);
});
