import { type Chain, chainKey, type Query, type Rows, type SqlFragments } from '../persistence/dialects/dialect.ts';
import type { Reader } from '../persistence/unit-of-work.ts';
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
  readonly key: string;
  readonly known: string | null;
  readonly head: string | null;
}

const HEAD_COLUMNS = ['id', 'version', 'create_time'];

/**
 * One row for each chain. The subqueries run once for each row, whatever the planner knows of the tables: of a join it may
 * make one that reads the whole district. The head is the end of its key, so that a long history costs what a short one does.
 */
const headsQuery = (sql: SqlFragments) => `
  select
    wanted.key,
    (select id from students where district_id = wanted.district_id and id = wanted.student_id) as known,
    cast((
      select ${sql.jsonRows(HEAD_COLUMNS, 'version')} from (
        select ${HEAD_COLUMNS.join(', ')} from ieps
        where district_id = wanted.district_id and student_id = wanted.student_id
          and academic_year = wanted.academic_year
        order by version desc limit 1
      ) as latest
    ) as text) as head
  from ${sql.jsonTable('wanted', { key: 'text', district_id: 'text', student_id: 'uuid', academic_year: 'text' })}`;

/** What was read as `head`; undefined for a chain without a version. */
function headOf(column: string | null): Head | undefined {
  const [values] = JSON.parse(column ?? '[]') as [string, number, string | number][];
  if (values === undefined) {
    return undefined;
  }
  const [id, version, createTime] = values;
  return { id, version, createTime: new Date(createTime) };
}

/**
 * Asks for the heads of chains. A place belongs to the caller alone when the chain is locked in a statement before: the read
 * needs a snapshot that is taken after the lock. Where the lock does not hold, two callers may get one place; the unique
 * key then refuses the second, and its unit of work runs again.
 */
export function askForHeads(sql: SqlFragments, chains: readonly Chain[]): Query {
  const wanted = new Map(chains.map((chain) => [chainKey(chain), chain]));
  const rows = Array.from(wanted, ([key, { districtId, studentId, academicYear }]) => ({
    key,
    district_id: districtId,
    student_id: studentId,
    academic_year: academicYear,
  }));
  return { sql: headsQuery(sql), params: [JSON.stringify(rows)] };
}

/**
 * The heads that were asked for. `now` is the time of the lock. A version is never older than its parent, whichever clock the
 * parent's came from.
 */
export function headsOf(answer: Rows, now: Date): ChainHeads {
  /** Undefined for a chain without a version, absent for a student who is not there. */
  const heads = new Map<string, Head | undefined>();
  for (const { key, known, head } of answer as readonly HeadRow[]) {
    if (known !== null) {
      heads.set(key, headOf(head));
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

/** The place after the latest version of one chain. */
export async function readNext({ em, sql }: Reader, chain: Chain, now: Date): Promise<Allocation> {
  const { sql: text, params } = askForHeads(sql, [chain]);
  return headsOf(await em.execute(text, [...params]), now).next(chain);
}
