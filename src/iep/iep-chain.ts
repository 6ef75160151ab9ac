import type { Database } from '../persistence/database.ts';
import type { Chain } from '../persistence/dialects/dialect.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
import type { Caller } from './caller.ts';
import { Refusal } from './errors.ts';

/** Where a version is kept. */
export interface IepPlace {
  readonly districtId: string;
  readonly iepId: string;
}

interface ChainRow {
  readonly id: string;
  readonly student_id: string;
  readonly academic_year: string;
}

/** The chain of a version, which it never leaves; IEP_NOT_FOUND when the district has no version with this id. */
export async function requireChain(db: Database, caller: Caller, iepId: string): Promise<Chain> {
  const { districtId } = caller;
  const chain = await db.readTogether(caller, findChains, { districtId, iepId });
  if (chain === undefined) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  return chain;
}

async function findChains({ em }: Reader, places: readonly IepPlace[]): Promise<(Chain | undefined)[]> {
  const found = new Map<string, Chain>();
  for (const [districtId, group] of Map.groupBy(places, (place) => place.districtId)) {
    const rows = await em.execute<ChainRow[]>(
      `select id, student_id, academic_year from ieps where district_id = ? and id in (${group.map(() => '?').join()})`,
      [districtId, ...group.map(({ iepId }) => iepId)],
    );
    for (const { id, student_id: studentId, academic_year: academicYear } of rows) {
      found.set(`${districtId}:${id}`, { districtId, studentId, academicYear });
    }
  }
  return places.map(({ districtId, iepId }) => found.get(`${districtId}:${iepId}`));
}
