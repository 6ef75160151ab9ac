import { Client } from 'pg';

const BEGIN = /^(start transaction|begin)\b/;
const END = /^(commit|rollback)$/;

const NO_RESULT = { command: '', rowCount: null, rows: [] };

/**
 * Sends what needs no answer together with the statement after it, as a round trip costs more than most statements: the
 * beginning of a transaction, and the inserts of a flush. Their errors are then errors of that statement. PostgreSQL runs
 * the statements of one message one after the other, each with a snapshot of its own, and none after one that fails.
 */
export class FrugalClient extends Client {
  #inTransaction = false;
  #waiting: string[] = [];

  // The one form that the query builder uses, of the many that the driver knows.
  override query = (async (sql: string, parameters?: unknown[]) => {
    if (typeof sql !== 'string' || (parameters !== undefined && parameters.length > 0)) {
      return super.query(sql, parameters as never);
    }
    if (BEGIN.test(sql)) {
      this.#inTransaction = true;
      this.#waiting.push(sql);
      return NO_RESULT;
    }
    if (this.#inTransaction && answersNoRows(sql)) {
      this.#waiting.push(sql);
      return NO_RESULT;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    if (END.test(sql)) {
      this.#inTransaction = false;
    }
    if (sql === 'rollback' && waiting.length > 0) {
      return BEGIN.test(waiting[0]!) ? NO_RESULT : super.query(sql);
    }
    const result: unknown = await super.query([...waiting, sql].join(';\n'));
    return Array.isArray(result) ? result.at(-1) : result;
  }) as never;
}

/** False for some that do not, when a value has the word. */
const answersNoRows = (sql: string) => sql.startsWith('insert into ') && !sql.includes(' returning ');
