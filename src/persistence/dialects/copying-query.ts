import { Query } from 'pg';

/** Begins a statement that has its rows behind it, each on a line, as pg_dump writes it. */
const COPY = 'copy ';

export const isCopy = (statement: string) => statement.startsWith(COPY);

/** https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS */
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const SPECIAL = /[\\\n\r\t]/;
const SPECIALS = new RegExp(SPECIAL, 'g');

/** A value in COPY's text format. Objects are JSON. */
function copyField(value: unknown): string {
  if (value == null) {
    return '\\N';
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return SPECIAL.test(text) ? text.replaceAll(SPECIALS, (character) => ESCAPES[character]!) : text;
}

/** A statement that appends rows, each with its values by column, to a table. */
export function copyRows(
  table: string,
  columns: readonly string[],
  rows: readonly Readonly<Record<string, unknown>>[],
): string {
  const lines = rows.map((row) => columns.map((column) => copyField(row[column])).join('\t'));
  return `${COPY}${table} (${columns.join(', ')}) from stdin;\n${lines.join('\n')}\n`;
}

/** What the driver's types do not tell. */
interface CopyConnection {
  readonly stream: { cork(): void; uncork(): void };
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}
export type Done = (error: Error | null, result: unknown) => void;
const DriversQuery = Query as unknown as new (
  text: string,
  values: undefined,
  done: Done,
) => { readonly text: string; submit(connection: CopyConnection): void };

/**
 * Several statements in one message, with the rows of those that copy right behind it: PostgreSQL asks for them one after
 * the other, and where a statement fails before, it passes over what it would have asked for.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
 */
export class CopyingQuery extends DriversQuery {
  readonly #rows: readonly string[];

  constructor(statements: readonly string[], done: Done) {
    super(
      statements.map((statement) => (isCopy(statement) ? headOf(statement) : statement)).join('; '),
      undefined,
      done,
    );
    this.#rows = statements.filter(isCopy).map((statement) => statement.slice(headOf(statement).length + 2));
  }

  override submit(connection: CopyConnection): void {
    connection.stream.cork();
    connection.query(this.text);
    for (const rows of this.#rows) {
      connection.sendCopyFromChunk(Buffer.from(rows));
      connection.endCopyFrom();
    }
    connection.stream.uncork();
  }

  /** They are on the way. */
  handleCopyInResponse(): void {}
}

const headOf = (statement: string) => statement.slice(0, statement.indexOf(';\n'));
