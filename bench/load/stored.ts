/** The invariants cannot see a version that was acknowledged and is not there; its row is missing from the count. */
import type { TestDatabase } from '../../test/support/sql.ts';
import { InvalidRun } from '../invalid-run.ts';
import { type Call, isSuccess } from './statistics.ts';

/** What a successful call of a method leaves one row of. */
const TABLES: Record<string, 'students' | 'ieps'> = {
  'iep.v1.IEPService/CreateStudent': 'students',
  'iep.v1.IEPService/CreateIep': 'ieps',
};

type Rows = Record<'students' | 'ieps', number>;

export async function countRows(database: TestDatabase): Promise<Rows> {
  const [row] = await database.query(
    'select (select count(*) from students) as students, (select count(*) from ieps) as ieps',
  );
  return { students: Number(row?.['students']), ieps: Number(row?.['ieps']) };
}

/** Every acknowledged creation left a row, and no row is there that nobody asked for. A failed call may have left one. */
export async function checkStored(
  database: TestDatabase,
  before: Rows,
  results: ReadonlyMap<string, readonly Call[]>,
): Promise<void> {
  const after = await countRows(database);
  for (const table of ['students', 'ieps'] as const) {
    const calls = [...results].filter(([method]) => TABLES[method] === table).flatMap(([, own]) => own);
    const acknowledged = calls.filter(isSuccess).length;
    const added = after[table] - before[table];
    if (added < acknowledged || added > calls.length) {
      throw new InvalidRun(
        `${calls.length} calls, ${acknowledged} of them acknowledged, added ${added} rows to ${table}`,
      );
    }
  }
}
