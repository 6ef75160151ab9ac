import { raw } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/sql';
import type { Database } from '../persistence/database.ts';
import { Goal, Iep } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { invalidField, Refusal } from './errors.ts';
import { requireStudent } from './find-students.ts';

/** What a goal says, apart from where it stands. */
export type GoalContent = Omit<Goal, 'districtId' | 'iep' | 'iepId' | 'lineageId' | 'position'>;

/** A version with its goals, in the author's order. */
export interface IepDocument {
  readonly iep: Iep;
  readonly goals: readonly GoalContent[];
}

/** Documents fetched at a time while a list is read: each may be megabytes large. */
const CHUNK = 25;

async function withGoals(em: EntityManager, ieps: readonly Iep[]): Promise<IepDocument[]> {
  const [first] = ieps;
  if (first === undefined) {
    return [];
  }
  const goals = await em.find(
    Goal,
    { districtId: first.districtId, iepId: { $in: ieps.map(({ id }) => id) } },
    { orderBy: { position: 'asc' } },
  );
  const byIep = Map.groupBy(goals, ({ iepId }) => iepId);
  return ieps.map((iep) => ({ iep, goals: byIep.get(iep.id) ?? [] }));
}

/** Reads one version; IEP_NOT_FOUND when the district has none with this id. */
export async function requireIep(em: EntityManager, districtId: string, iepId: string): Promise<IepDocument> {
  const iep = await em.findOne(Iep, { districtId, id: iepId });
  if (iep === null) {
    throw new Refusal('IEP_NOT_FOUND', { iepId });
  }
  const [document] = await withGoals(em, [iep]);
  return document!;
}

export async function getIep(db: Database, caller: Caller, iepId: string): Promise<IepDocument> {
  return db.read(caller, ({ em }) => requireIep(em, caller.districtId, iepId));
}

/** The highest version of a chain. */
export async function getLatestIep(
  db: Database,
  caller: Caller,
  { studentId, academicYear }: { studentId: string; academicYear: string },
): Promise<IepDocument> {
  const { districtId } = caller;
  return db.read(caller, async ({ em }) => {
    const head = await em.findOne(Iep, { districtId, studentId, academicYear }, { orderBy: { version: 'desc' } });
    if (head === null) {
      await requireStudent(em, districtId, studentId);
      throw new Refusal('IEP_NOT_FOUND', { studentId, academicYear });
    }
    const [document] = await withGoals(em, [head]);
    return document!;
  });
}

export interface ListIepsQuery {
  readonly studentId: string;
  readonly academicYear: string | undefined;
  /** Begin after the version with this id. */
  readonly after: string | undefined;
}

/** A student's versions by academic year, then version, fetched as they are asked for. */
export async function* listIeps(db: Database, caller: Caller, query: ListIepsQuery): AsyncGenerator<IepDocument> {
  const { districtId } = caller;
  const { studentId, academicYear } = query;
  const chain = { districtId, studentId, ...(academicYear !== undefined && { academicYear }) };
  let last = await db.read(caller, async ({ em }) => {
    await requireStudent(em, districtId, studentId);
    if (query.after === undefined) {
      return null;
    }
    const anchor = await em.findOne(Iep, { ...chain, id: query.after }, { fields: ['academicYear', 'version'] });
    if (anchor === null) {
      throw invalidField('page_token', 'is no token of this list; start again without one');
    }
    return { academicYear: anchor.academicYear, version: anchor.version };
  });
  for (;;) {
    const after = last && { [raw('(academic_year, version) > (?, ?)', [last.academicYear, last.version])]: [] };
    const documents = await db.read(caller, async ({ em }) =>
      withGoals(
        em,
        await em.find(Iep, { ...chain, ...after }, { orderBy: { academicYear: 'asc', version: 'asc' }, limit: CHUNK }),
      ),
    );
    yield* documents;
    last = documents.at(-1)?.iep ?? null;
    if (documents.length < CHUNK) {
      return;
    }
  }
}
