/** Texts in statements: as PostgreSQL's own client library quotes them, and as PostgreSQL reads them. */
import * as fc from 'fast-check';
import { type Client, escapeLiteral } from 'pg';
import { expect, it } from 'vitest';
import { quoteText } from '../src/persistence/dialects/quoting-driver.ts';
import { connectForSuite, textsWith } from './support/pg-client.ts';

const aText = textsWith("'", '\\', "\\'", '?', '$1', ';', '--', '\n', '%', 'é');
let client: Client;

connectForSuite((connected) => (client = connected));

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
