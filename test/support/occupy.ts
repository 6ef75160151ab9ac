import { YEAR } from './samples.ts';
import type { LogLines } from './service.ts';
import type { TestDatabase } from './sql.ts';

/** Keeps all writers of these students' chains, or of the file, waiting until it is released. */
export async function occupy(database: TestDatabase, ...studentIds: string[]): Promise<() => Promise<unknown>> {
  if (database.url.startsWith('sqlite:')) {
    await database.query('begin immediate');
  } else {
    await database.query('begin');
    for (const studentId of studentIds) {
      const key = `iep:default:${studentId}:${YEAR}`;
      await database.query('select pg_advisory_xact_lock(hashtextextended(?, 0))', key);
    }
  }
  return () => database.query('rollback');
}

/** Grows when a call has come as far as the lock: it waits for it on PostgreSQL, and tries again on SQLite. */
export async function countWaits(database: TestDatabase, log: LogLines): Promise<number> {
  return database.url.startsWith('sqlite:')
    ? log.lines.filter(({ msg }) => msg === 'retry').length
    : (await database.query('select 1 from pg_locks where not granted')).length;
}
