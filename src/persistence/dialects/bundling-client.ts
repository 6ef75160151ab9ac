import { Client, type QueryResult as Result } from 'pg';
import { CopyingQuery, type Done, isCopy } from './copying-query.ts';

const BEGIN = 'start transaction ';
const NO_RESULT = { command: '', rowCount: null, rows: [] };

/** Sends what it was handed before, and does nothing more. */
export const SEND = 'select';

/** Begins a text of several statements, whose answer is that of each: as many tables of rows. */
export const TOGETHER = '/* together */ ';

/**
 * Sends what has no answer together with the statement after it: the beginning of a transaction, locks, and inserts. A round
 * trip costs more than most statements, and under load the event loop's whole turn. Its error is then that of the statement
 * it was sent with. PostgreSQL runs the statements of a message one after the other, each with a snapshot of its
 * own, and none after one that fails.
 */
export class BundlingClient extends Client {
  #waiting: string[] = [];
  #inTransaction = false;

  // The one form that the query builder uses, of the many that the driver knows.
  override query = (async (sql: string, parameters?: unknown[]) => {
    if (typeof sql !== 'string') {
      return super.query(sql, parameters as never);
    }
    if (sql.startsWith(BEGIN) || (this.#inTransaction && answersNoRows(sql))) {
      this.#inTransaction = true;
      this.#waiting.push(sql);
      return NO_RESULT;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#inTransaction &&= sql !== 'commit' && sql !== 'rollback';
    const isTogether = sql.startsWith(TOGETHER);
    if (sql === 'rollback' && waiting[0]?.startsWith(BEGIN)) {
      return NO_RESULT;
    }
    if (sql === 'rollback' || (waiting.length === 0 && !isTogether)) {
      return this.#send((done) => super.query(sql, parameters as never, done));
    }
    // The driver answers a list where there are several statements.
    const query = (done: Done) => super.query(new CopyingQuery([...waiting, sql], done) as never);
    const results = [await this.#send(query)].flat() as Result[];
    return isTogether ? { ...NO_RESULT, rows: results.slice(waiting.length).map(({ rows }) => rows) } : results.at(-1);
  }) as never;

  /**
   * By a callback. For a promise of its own the driver would make one and put it into the query afterwards, and a function
   * that is assigned to a property is made among the old objects: each result would stay until the next full collection.
   */
  #send(query: (done: Done) => void): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    query((error, result) => (error === null ? resolve(result) : reject(error)));
    return promise;
  }
}

/** False for some that do not, when a value has the word. What selects no columns is there for its locks. */
const answersNoRows = (sql: string) =>
  isCopy(sql) || sql.startsWith('select from ') || (sql.startsWith('insert into ') && !sql.includes(' returning '));
