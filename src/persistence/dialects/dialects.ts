/** The one place where PostgreSQL and SQLite differ. Nothing outside this folder asks which of them is below. */
import type { Dialect } from './dialect.ts';
import { postgresql } from './postgresql.ts';
import { sqlite } from './sqlite.ts';

/** The dialect that a DATABASE_URL names. */
export function dialectOf(url: string): Dialect {
  return url.startsWith('sqlite:') ? sqlite : postgresql;
}
