import { Client } from 'pg';

const NO_RESULT = { command: '', rowCount: null, rows: [] };

/**
 * Sends the beginning of a transaction together with its first statement: a round trip costs more than most statements.
 * PostgreSQL runs them one after the other, each with a snapshot of its own.
 */
export class LateBeginClient extends Client {
  #begin: string | undefined;

  // The one form that the query builder uses, of the many that the driver knows.
  override query = (async (sql: string, parameters?: unknown[]) => {
    const begin = this.#begin;
    if (typeof sql !== 'string' || (begin === undefined && !sql.startsWith('start transaction'))) {
      return super.query(sql, parameters as never);
    }
    if (begin === undefined) {
      this.#begin = sql;
      return NO_RESULT;
    }
    this.#begin = undefined;
    if (sql === 'rollback' || sql === 'commit') {
      return NO_RESULT;
    }
    const [, result] = (await super.query(`${begin}; ${sql}`)) as unknown as unknown[];
    return result;
  }) as never;
}
