/** Texts in statements: as PostgreSQL's own client library quotes them, and as PostgreSQL reads them. */
import * as fc from 'fast-check';
import { Client, escapeLiteral } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { quoteText } from '../src/persistence/dialects/quoting-driver.ts';
import { postgresql } from './support/databases.ts';
import type { TestDatabase } from './support/sql.ts';

const aPart = fc.oneof(fc.constantFrom("'", '\\', "\\'", '?', '$1', ';', '--', '\n', '%', 'é'), fc.string());
const aText = fc.array(aPart).map((parts) => parts.join('').replaceAll('\0', ''));
let database: TestDatabase;
let client: Client;

beforeAll(async () => {
  database = await postgresql.create();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

it('are quoted as by the library that speaks to PostgreSQL', () => {
  fc.assert(
    fc.property(aText, (text) => {
      expect(quoteText(text)).toBe(escapeLiteral(text));
    }),
  );
});

it.each(['on', 'off'])('mean what they say with standard_conforming_strings %s', async (setting) => {
  await client.query(`set standard_conforming_strings = ${setting}`);
  await fc.assert(
    fc.asyncProperty(aText, async (text) => {
      const { rows } = await client.query(`select ${quoteText(text)} as text`);
      expect(rows).toEqual([{ text }]);
    }),
  );
});
