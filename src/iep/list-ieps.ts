import type { Database } from '../persistence/database.ts';
import { Iep } from '../persistence/entities.ts';
import type { Caller } from './caller.ts';
import { invalidField } from './errors.ts';
import { requireStudent } from './find-students.ts';
import { findDocuments, type IepDocument } from './iep-document.ts';

/** Documents fetched at a time while a list is read: each may be megabytes large. */
const CHUNK = 25;

export interface ListIepsQuery {
  /** Absent = the whole district. */
  readonly studentId: string | undefined;
  readonly academicYear: string | undefined;
  readonly status: string | undefined;
  readonly reviewDateBefore: string | undefined;
  /** Only the highest version of each chain, where it matches the rest. */
  readonly latestOnly: boolean;
  /** Begin after the version with this id, where `isAt` knows the review_date that it had then. */
  readonly after: { readonly id: string; readonly isAt: (reviewDate: string) => boolean } | undefined;
}

/** A condition on a version, and its parameters. */
type Condition = readonly [sql: string, ...params: unknown[]];

const COLUMNS = { academicYear: 'academic_year', version: 'version', reviewDate: 'review_date', id: 'id' };
/** What a version's place in a list consists of. */
type Place = Pick<Iep, keyof typeof COLUMNS>;

/** A part of a list: ranges of versions, each of which an index gives in the order of the list. */
interface Stretch {
  readonly ranges: readonly (readonly Condition[])[];
  readonly order: readonly (keyof Place)[];
}

/**
 * A student's versions by academic year, then version; or the district's by review_date, those without one last, then id.
 * They are fetched as they are asked for.
 */
export async function* listIeps(db: Database, caller: Caller, query: ListIepsQuery): AsyncGenerator<IepDocument> {
  let last = await findPlace(db, caller, query);
  for (const stretch of stretchesOf(caller.districtId, query, last)) {
    for (;;) {
      const [clause, ...params] = chunkAfter(caller.districtId, stretch, last);
      const documents = await db.read(caller, (reader) => findDocuments(reader, clause, params));
      yield* documents;
      if (documents.length < CHUNK) {
        break;
      }
      last = documents.at(-1)?.iep;
    }
    last = undefined;
  }
}

/** Where the list begins; undefined at its start. Whatever else became of the version there, only its place counts. */
async function findPlace(db: Database, caller: Caller, query: ListIepsQuery): Promise<Place | undefined> {
  const { districtId } = caller;
  const { studentId, academicYear, after } = query;
  if (studentId === undefined && after === undefined) {
    return undefined;
  }
  return db.read(caller, async ({ em }) => {
    if (studentId !== undefined) {
      await requireStudent(em, districtId, studentId);
    }
    if (after === undefined) {
      return undefined;
    }
    const chain = {
      ...(studentId !== undefined && { studentId }),
      ...(academicYear !== undefined && { academicYear }),
    };
    const place = await em.findOne(
      Iep,
      { districtId, id: after.id, ...chain },
      { fields: Object.keys(COLUMNS) as (keyof Place)[] },
    );
    if (place === null) {
      throw invalidField('page_token', 'is no token of this list; start again without one');
    }
    if (studentId === undefined && !after.isAt(place.reviewDate ?? '')) {
      throw invalidField(
        'page_token',
        'ends at a version whose review_date was changed since; start again without one',
      );
    }
    return place;
  });
}

const STATUSES = ['DRAFT', 'UNDER_REVIEW', 'RETURNED', 'APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED', 'DISCARDED'];

/**
 * No version follows it. A scalar subquery looks for that one by its whole key; of `not exists` the planner may make a join
 * that reads every chain before the first row.
 */
const LATEST: Condition = [
  `(
    select 1 from ieps as next where next.district_id = ieps.district_id and next.student_id = ieps.student_id
      and next.academic_year = ieps.academic_year and next.version = ieps.version + 1
  ) is null`,
];

function stretchesOf(districtId: string, query: ListIepsQuery, last: Place | undefined): Stretch[] {
  const { studentId, academicYear, status, reviewDateBefore, latestOnly } = query;
  const common: Condition[] = [
    ['district_id = ?', districtId],
    ...(academicYear === undefined ? [] : [['academic_year = ?', academicYear] as const]),
    ...(reviewDateBefore === undefined ? [] : [['review_date < ?', reviewDateBefore] as const]),
    ...(latestOnly ? [LATEST] : []),
  ];
  if (studentId !== undefined) {
    const filters: Condition[] = status === undefined ? [] : [['status = ?', status]];
    return [
      {
        ranges: [[...common, ['student_id = ?', studentId], ...filters]],
        // A chain that has got another version since the last page was listed already.
        order: latestOnly ? ['academicYear'] : ['academicYear', 'version'],
      },
    ];
  }
  // The indexes go by review_date within a status.
  const byStatus = (condition: string): Condition[][] =>
    (status === undefined ? STATUSES : [status]).map((one) => [...common, ['status = ?', one], [condition]]);
  const dated: Stretch = { ranges: byStatus('review_date is not null'), order: ['reviewDate', 'id'] };
  const undated: Stretch = { ranges: byStatus('review_date is null'), order: ['id'] };
  return [
    ...(last === undefined || last.reviewDate !== null ? [dated] : []),
    ...(reviewDateBefore === undefined ? [undated] : []),
  ];
}

/** What follows `from ieps` to read the next documents of a stretch. */
function chunkAfter(districtId: string, { ranges, order }: Stretch, last: Place | undefined): Condition {
  const columns = order.map((field) => COLUMNS[field]).join(', ');
  const following: Condition[] =
    last === undefined
      ? []
      : [[`(${columns}) > (${order.map(() => '?').join(', ')})`, ...order.map((field) => last[field])]];
  const ending = `order by ${columns} limit ${CHUNK}`;
  const clauses = ranges.map((range): Condition => {
    const conditions = [...range, ...following];
    return [
      `where ${conditions.map(([sql]) => sql).join(' and ')} ${ending}`,
      ...conditions.flatMap(([, ...params]) => params),
    ];
  });
  const [only, ...others] = clauses;
  if (others.length === 0) {
    return only!;
  }
  // From each range as many as the chunk may need, merged. Without their own ends the ranges would be read whole and sorted.
  const union = clauses.map(([sql], index) => `select * from (select ${columns} from ieps ${sql}) as range${index}`);
  return [
    `where district_id = ? and id in (select id from (${union.join(' union all ')}) as ranges ${ending})
     order by ${columns}`,
    districtId,
    ...clauses.flatMap(([, ...params]) => params),
  ];
}
