/** Fresh databases of both kinds, and what a test needs to look into them past the service. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, inject } from 'vitest';
import { migrate } from '../../src/persistence/migrate.ts';
import { brokenInvariants } from './invariants.ts';
import { databaseUrl, execute } from './postgresql.ts';
import { connectPostgreSql, connectSqlite, type TestDatabase } from './sql.ts';

export interface Backend {
  readonly name: 'PostgreSQL' | 'SQLite';
  /** An empty database with the current schema. */
  create(): Promise<TestDatabase>;
  /** A database without a schema. */
  createBare(): Promise<TestDatabase>;
  /** An instant as the database keeps it. */
  instant(time: Date): unknown;
}

async function createPostgreSql(template: string): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `iep_${randomUUID().replaceAll('-', '')}`;
  await execute(server, `create database ${name} template ${template}`);
  return connectPostgreSql(databaseUrl(server, name), () => execute(server, `drop database ${name} with (force)`));
}

export const postgresql: Backend = {
  name: 'PostgreSQL',
  create: () => createPostgreSql(inject('template')),
  createBare: () => createPostgreSql('template0'),
  instant: (time) => time,
};

export const sqlite: Backend = {
  name: 'SQLite',
  async create() {
    const database = await this.createBare();
    await migrate(database.url);
    return database;
  },
  async createBare() {
    const folder = mkdtempSync(path.join(tmpdir(), 'iep-test-'));
    return connectSqlite(path.join(folder, 'iep.db'), () => rmSync(folder, { recursive: true }));
  },
  instant: (time) => time.getTime(),
};

/** Declares one suite for each database. */
export function describeOnBoth(name: string, suite: (backend: Backend) => void): void {
  describe.each([postgresql, sqlite])(`${name} on $name`, (backend) => {
    suite(backend);
  });
}

export async function expectInvariants(database: TestDatabase): Promise<void> {
  expect(await brokenInvariants(database)).toEqual({});
}
