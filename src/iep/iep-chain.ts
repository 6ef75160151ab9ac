import type { Database } from '../persistence/database.ts';
import type { Chain } from '../persistence/dialects/dialect.ts';
import { Iep } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { Refusal } from './errors.ts';

/** The chain of a version, which it never leaves; IEP_NOT_FOUND when the district has no version with this id. */
export async function requireChain(db: Database, caller: Caller, iepId: string): Promise<Chain> {
  const { districtId } = caller;
  const fields = ['studentId', 'academicYear'] as const;
  const iep = await db.read(caller, ({ em }) => em.findOne(Iep, { districtId, id: iepId }, { fields }));
  if (iep === null) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  return { districtId, studentId: iep.studentId, academicYear: iep.academicYear };
}
