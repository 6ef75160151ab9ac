/** The invariants cannot see a version that was acknowledged and is not there; its row is missing from the count. */
import type { TestDatabase } from '../../test/support/sql.ts';
import { InvalidRun } from '../invalid-run.ts';
import { type Call, isSuccess } from './statistics.ts';

/** What a successful call of a method leaves one row of. */
const ROWS: Record<string, string> = {
  'iep.v1.IEPService/CreateStudent': 'students',
  'iep.v1.IEPService/CreateIep': 'ieps',
  'iep.v1.IEPService/UpdateIep': `events where rpc = 'UpdateIep'`,
  'iep.v1.IEPService/SubmitIep': `events where rpc = 'SubmitIep'`,
  'iep.v1.IEPService/ApproveIep': `events where rpc = 'ApproveIep'`,
};

/** By method. */
type Counts = ReadonlyMap<string, number>;

export async function countRows(database: TestDatabase): Promise<Counts> {
  const methods = Object.keys(ROWS);
  const counts = methods.map((method, index) => `(select count(*) from ${ROWS[method]}) as count${index}`);
  const [row] = await database.query(`select ${counts.join(', ')}`);
  return new Map(methods.map((method, index) => [method, Number(row?.[`count${index}`])]));
}

/** Every acknowledged change left a row, and no row is there that nobody asked for. A failed call may have left one. */
export async function checkStored(
  database: TestDatabase,
  before: Counts,
  results: ReadonlyMap<string, readonly Call[]>,
): Promise<void> {
  for (const [method, count] of await countRows(database)) {
    const calls = results.get(method) ?? [];
    const acknowledged = calls.filter(isSuccess).length;
    const added = count - before.get(method)!;
    if (added < acknowledged || added > calls.length) {
      throw new InvalidRun(
        `${calls.length} calls, ${acknowledged} of them acknowledged, added ${added} rows to ${ROWS[method]}`,
      );
    }
  }
}
