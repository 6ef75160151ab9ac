import type { EntityManager } from '@mikro-orm/sql';
import { type Chain, chainKey } from '../persistence/dialects/dialect.ts';
import { Refusal } from './errors.ts';

/** The latest version of a chain. */
interface Head {
  readonly id: string;
  readonly version: number;
  readonly createTime: Date;
}

/** A place in a chain. */
export interface Allocation {
  readonly version: number;
  readonly parentVersionId: string | null;
  readonly createTime: Date;
}

/** The heads of some chains as they stand in one unit of work. */
export interface ChainHeads {
  /** The place after the chain's latest version; STUDENT_NOT_FOUND when there is no such student. */
  next(chain: Chain): Allocation;
  /** Takes the place for the version with this id. */
  take(chain: Chain, id: string, allocation: Allocation): void;
}

interface HeadRow {
  readonly student_id: string;
  readonly id: string | null;
  readonly version: number;
  readonly create_time: string | number | Date;
}

/**
 * One row for each student who exists, with the head of the chain where there is one. The highest version is found first,
 * from the end of its key, so that a long history costs what a short one does.
 */
const HEADS = (count: number) => `
  select heads.student_id, ieps.id, ieps.version, ieps.create_time
  from (
    select students.district_id, students.id as student_id, (
      select max(version) from ieps where ieps.district_id = students.district_id and ieps.student_id = students.id
        and ieps.academic_year = ?
    ) as version
    from students where district_id = ? and id in (${Array(count).fill('?').join(', ')})
  ) as heads
  left join ieps on ieps.district_id = heads.district_id and ieps.student_id = heads.student_id
    and ieps.academic_year = ? and ieps.version = heads.version`;

/**
 * Reads the heads of chains. A place belongs to the caller alone when the chain is locked in a statement before: the read
 * needs a snapshot that is taken after the lock. Where the lock does not hold, two callers may get one place; the unique
 * key then refuses the second, and its unit of work runs again.
 *
 * `now` is the time of the lock. A version is never older than its parent, whichever clock the parent's came from.
 */
export async function readHeads(em: EntityManager, chains: readonly Chain[], now: Date): Promise<ChainHeads> {
  /** Undefined for a chain without a version, absent for a student who is not there. */
  const heads = new Map<string, Head | undefined>();
  const groups = Map.groupBy(chains, ({ districtId, academicYear }) => `${districtId}:${academicYear}`);
  for (const group of groups.values()) {
    const { districtId, academicYear } = group[0]!;
    const students = [...new Set(group.map(({ studentId }) => studentId))];
    const rows = await em.execute<HeadRow[]>(HEADS(students.length), [
      academicYear,
      districtId,
      ...students,
      academicYear,
    ]);
    for (const { student_id: studentId, id, version, create_time: createTime } of rows) {
      const head = id === null ? undefined : { id, version, createTime: new Date(createTime) };
      heads.set(chainKey({ districtId, studentId, academicYear }), head);
    }
  }
  return {
    next(chain) {
      const key = chainKey(chain);
      if (!heads.has(key)) {
        throw new Refusal('STUDENT_NOT_FOUND', { studentId: chain.studentId });
      }
      const head = heads.get(key);
      return {
        version: (head?.version ?? 0) + 1,
        parentVersionId: head?.id ?? null,
        createTime: head !== undefined && head.createTime > now ? head.createTime : now,
      };
    },
    take: (chain, id, { version, createTime }) => void heads.set(chainKey(chain), { id, version, createTime }),
  };
}
