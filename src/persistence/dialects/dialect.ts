import type { MigrationObject, MikroORM, TransactionOptions } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/sql';
import { entities } from '../entities.ts';
import type { Failure } from '../retry.ts';
import type { LaneConcurrency } from '../write-lanes.ts';

/** One student's versions in one academic year. */
export interface Chain {
  readonly districtId: string;
  readonly studentId: string;
  readonly academicYear: string;
}

export function chainKey({ districtId, studentId, academicYear }: Chain): string {
  return `${districtId}:${studentId}:${academicYear}`;
}

/**
 * How writers of one chain wait for each other: `advisory` by a transaction-level advisory lock; `row` by a lock on the
 * student's row, which engines with many nodes see everywhere; `none` not at all, so that the unique key and the retries
 * carry everything.
 */
export type VersionLock = 'advisory' | 'row' | 'none';

export interface Connections {
  readonly writer: MikroORM;
  readonly reader: MikroORM;
  /** For signs of life: a full pool is no outage. */
  readonly probe: MikroORM;
  readonly migrator: MikroORM;
  close(): Promise<void>;
}

export interface LockPatience {
  readonly mayWait: boolean;
  /** How long it may wait for one of them, and about how long the transaction may take. */
  readonly timeoutMs: number;
}

interface LockedChains {
  /** The database's time when they were locked. */
  readonly now: Date;
  /** Keys of the locked chains. */
  readonly keys: ReadonlySet<string>;
  /** What each of the queries that were sent with the locks has answered. */
  readonly answers: readonly Rows[];
}

/** A statement, with a `?` for each of its parameters. */
export interface Query {
  readonly sql: string;
  readonly params: readonly unknown[];
}

export type Rows = readonly object[];

/** What the databases say differently inside a query. */
export interface SqlFragments {
  /** True where the JSON array in `column` holds the string of its one parameter. */
  readonly includes: (column: string) => string;
  /** A table of the objects in the JSON array that is its one parameter; `columns` are their fields, with their types. */
  readonly jsonTable: (name: string, columns: Readonly<Record<string, string>>) => string;
  /** Aggregates rows into a JSON array of arrays, each with the columns of a row; of no rows, null or an empty one. */
  readonly jsonRows: (columns: readonly string[], orderBy: string) => string;
  /** Such an array as a part of another one: what comes out of a subquery may be taken for a string. */
  readonly json: (rows: string) => string;
  readonly feed: FeedFragments;
}

/** Events in an order that fits the order of their commits, and that nothing is put into later. */
interface FeedFragments {
  /** What the feed is ordered by. */
  readonly columns: readonly string[];
  /** True of events before which none can come any more. They come before those of which it is not true. */
  readonly settled: string;
  /** True of events after the one whose columns are given, as text, for its parameters. */
  readonly after: string;
  /** Tells this database from others. A text. */
  readonly identity: string;
}

export interface Dialect {
  readonly connect: (url: string, poolSize: number) => Promise<Connections>;
  /** Units of work that may run at once on a pool of this size. */
  readonly writers: (poolSize: number) => LaneConcurrency;
  /** Reads that may run at once on a pool of this size. */
  readonly readers: (poolSize: number) => number;
  /** The write lane that a key belongs to. */
  readonly laneOf: (key: string) => string;
  readonly transaction: TransactionOptions;
  /**
   * Locks chains until the transaction ends. Those that another process holds are left out, so that no chain waits for
   * another's holder, unless it may wait. The queries run right behind the locks, each as a statement of its own, which sees
   * what was committed before them.
   */
  readonly lockChains: (
    em: EntityManager,
    lock: VersionLock,
    chains: readonly Chain[],
    patience: LockPatience,
    queries: readonly Query[],
  ) => Promise<LockedChains>;
  /** Keeps other writers from the student's row until the transaction ends; answers the database's time then. */
  readonly lockStudent: (em: EntityManager, districtId: string, id: string, timeoutMs: number) => Promise<Date>;
  /** Keeps other writers from these rows of `ieps` until the transaction ends. */
  readonly lockIeps: (em: EntityManager, districtId: string, ids: readonly string[]) => Promise<void>;
  /** Adds rows to a table; each is an object with values by column, null where there is none. Objects in it are JSON. */
  readonly appendRows: (
    em: EntityManager,
    table: string,
    columns: readonly string[],
    rows: readonly Readonly<Record<string, unknown>>[],
  ) => Promise<void>;
  /** Sends the writes that would be sent with the next statement. */
  readonly send: (em: EntityManager) => Promise<void>;
  readonly sql: SqlFragments;
  readonly classify: (error: unknown) => Failure;
  /** Another writer took the version: where chains are locked, a sign that the lock does not hold. */
  readonly isVersionTaken: (error: unknown) => boolean;
  readonly isMissingTable: (error: unknown) => boolean;
  readonly migrations: MigrationObject[];
  /** Keeps other processes from migrating until the transaction ends. */
  readonly migrationLock: string;
  /** The columns that the ORM's migrator keeps its record in. */
  readonly migrationColumns: string;
}

/** Where the ORM's migrator keeps its record. */
export const MIGRATIONS_TABLE = 'schema_migrations';

/** What both hand to the ORM. */
export const ormOptions = {
  entities,
  // Errors reach the caller; the ORM's own log would print parameters.
  logger: () => undefined,
  metadataCache: { enabled: false },
};

export const migrationsOf = ({ migrations }: Dialect) => ({
  migrationsList: migrations,
  tableName: MIGRATIONS_TABLE,
  snapshot: false,
});
