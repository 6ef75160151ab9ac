/** SQL past the service, on both databases. */
import SqliteDatabase from 'better-sqlite3';
import { Pool } from 'pg';

export type Row = Record<string, unknown>;

export interface TestDatabase {
  readonly url: string;
  /** Runs one statement. Parameters are `?` on both. */
  query(sql: string, ...params: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

export function connectPostgreSql(url: string, remove: () => Promise<unknown> = async () => undefined): TestDatabase {
  // Not ended while idle: a test may hold a lock in it.
  const pool = new Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 });
  // A connection that a test ends is no news.
  pool.on('error', () => undefined);
  return {
    url,
    async query(sql, ...params) {
      let index = 0;
      const { rows } = await pool.query<Row>(
        sql.replaceAll('?', () => `$${++index}`),
        params,
      );
      return rows;
    },
    async drop() {
      await pool.end();
      await remove();
    },
  };
}

export function connectSqlite(file: string, remove: () => unknown = () => undefined): TestDatabase {
  const database = new SqliteDatabase(file, { timeout: 5000 });
  database.pragma('foreign_keys = on');
  return {
    url: `sqlite:${file}`,
    async query(sql, ...params) {
      const statement = database.prepare<unknown[], Row>(sql);
      return statement.reader ? statement.all(...params) : (statement.run(...params), []);
    },
    async drop() {
      database.close();
      await remove();
    },
  };
}
