import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig, VARIABLES } from '../src/config.ts';

/** What readConfig says of a wrong environment. */
function problemOf(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.message;
    }
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toEqual({
      host: '127.0.0.1',
      grpcPort: 50051,
      httpPort: 8080,
      databaseUrl: 'sqlite:./data/iep.db',
      poolSize: 10,
      versionLock: 'advisory',
      migrate: 'auto',
      logLevel: 'info',
      deadlines: { defaultMs: 30_000, maxMs: 300_000 },
      drainDelayMs: 2000,
      shutdownGraceMs: 30_000,
    });
  });

  it('takes an empty variable for one that is not set', () => {
    expect(readConfig({ GRPC_PORT: '', DATABASE_URL: '', VERSION_LOCK: '' })).toEqual(readConfig({}));
  });

  it('migrates by itself on SQLite only, unless told', () => {
    const url = 'postgresql://localhost/iep';
    expect(readConfig({ DATABASE_URL: url }).migrate).toBe('off');
    expect(readConfig({ DATABASE_URL: url, MIGRATE: 'auto' }).migrate).toBe('auto');
    expect(readConfig({ MIGRATE: 'off' }).migrate).toBe('off');
  });

  it.each([
    ['GRPC_PORT', '70000', 'GRPC_PORT takes a whole number from 0 to 65535, not "70000"'],
    ['HTTP_PORT', '8O80', 'HTTP_PORT takes a whole number from 0 to 65535, not "8O80"'],
    ['POOL_SIZE', '0', 'POOL_SIZE takes a whole number from 1 to 1000, not "0"'],
    ['VERSION_LOCK', 'Row', 'VERSION_LOCK takes advisory | row | none, not "Row"'],
    ['MIGRATE', 'yes', 'MIGRATE takes auto | off, not "yes"'],
    ['AUTH_MODE', 'basic', 'AUTH_MODE takes none, not "basic"'],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL takes fatal | error | warn | info | debug | trace | silent, not "loud"'],
    ['DRAIN_DELAY_MS', '-1', 'DRAIN_DELAY_MS takes a whole number from 0 to 600000, not "-1"'],
  ])('names a bad %s, what it got and what it takes', (name, value, problem) => {
    expect(problemOf({ [name]: value })).toBe(problem);
  });

  it('names every bad variable at once', () => {
    const lines = problemOf({ GRPC_PORT: 'x', POOL_SIZE: 'x', MIGRATE: 'x' }).split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['GRPC_PORT', 'POOL_SIZE', 'MIGRATE']);
  });

  it('does not repeat a password', () => {
    const problem = problemOf({ DATABASE_URL: 'mysql://root:secret@localhost/iep' });
    expect(problem).toContain('DATABASE_URL takes sqlite:FILE');
    expect(problem).not.toContain('secret');
  });

  it('lets nobody in from outside by accident', () => {
    expect(problemOf({ HOST: '0.0.0.0' })).toContain('AUTH_MODE=none');
    expect(readConfig({ HOST: '0.0.0.0', AUTH_MODE: 'none' }).host).toBe('0.0.0.0');
  });
});

describe('the configuration table of the README', () => {
  const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `([A-Z_]+)` *\| ([^|]*)\|/gm)].map(([, name, value]) => [name, value!.trim()]);

  it('has every variable and no other', () => {
    expect(rows.map(([name]) => name)).toEqual(VARIABLES);
  });

  it('gives the defaults that the code has', () => {
    const config = readConfig({});
    const defaults: Record<string, string | number> = {
      HOST: config.host,
      GRPC_PORT: config.grpcPort,
      HTTP_PORT: config.httpPort,
      DATABASE_URL: config.databaseUrl,
      POOL_SIZE: config.poolSize,
      VERSION_LOCK: config.versionLock,
      LOG_LEVEL: config.logLevel,
      DEADLINE_DEFAULT_MS: config.deadlines.defaultMs,
      DEADLINE_MAX_MS: config.deadlines.maxMs,
      DRAIN_DELAY_MS: config.drainDelayMs,
      SHUTDOWN_GRACE_MS: config.shutdownGraceMs,
    };
    const table = Object.fromEntries(rows) as Record<string, string>;
    for (const [name, value] of Object.entries(defaults)) {
      expect([name, table[name]]).toEqual([name, `\`${value}\``]);
    }
  });
});
