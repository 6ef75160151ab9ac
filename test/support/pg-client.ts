/** The driver's own client on a fresh database, and texts that could be taken for something else. */
import * as fc from 'fast-check';
import { Client } from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { postgresql } from './databases.ts';
import type { TestDatabase } from './sql.ts';

/** Connects before the suite and hands the client over; all is gone after it. */
export function connectForSuite(take: (client: Client) => unknown): void {
  let database: TestDatabase;
  let client: Client;

  beforeAll(async () => {
    database = await postgresql.create();
    client = new Client({ connectionString: database.url });
    await client.connect();
    take(client);
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });
}

/** Any text that PostgreSQL can hold, with many of these parts. */
export function textsWith(...parts: string[]): fc.Arbitrary<string> {
  const part = fc.oneof(fc.constantFrom(...parts), fc.string());
  return fc.array(part).map((all) => all.join('').replaceAll('\0', ''));
}
