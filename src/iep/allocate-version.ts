import type { EntityManager } from '@mikro-orm/sql';
import type { Chain } from '../persistence/dialects.ts';
import { Iep } from '../persistence/entities.ts';
import { requireStudent } from './find-students.ts';

/** A place in a chain. */
export interface Allocation {
  readonly version: number;
  readonly parentVersionId: string | null;
  readonly createTime: Date;
}

/**
 * The place after the chain's latest version. It belongs to the caller alone when the chain is locked in a statement of
 * its own before: the read needs a snapshot that is taken after the lock. Where the lock does not hold, two callers may
 * get one place; the unique key then refuses the second, and its unit of work runs again.
 *
 * `now` is the time of the lock. A version is never older than its parent, whichever clock the parent's came from.
 */
export async function allocateVersion(em: EntityManager, chain: Chain, now: Date): Promise<Allocation> {
  const head = await em.findOne(
    Iep,
    { districtId: chain.districtId, studentId: chain.studentId, academicYear: chain.academicYear },
    { orderBy: { version: 'desc' }, fields: ['id', 'version', 'createTime'] },
  );
  if (head === null) {
    await requireStudent(em, chain.districtId, chain.studentId);
    return { version: 1, parentVersionId: null, createTime: now };
  }
  return {
    version: head.version + 1,
    parentVersionId: head.id,
    createTime: head.createTime > now ? head.createTime : now,
  };
}
