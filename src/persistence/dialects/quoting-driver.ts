import { PostgreSqlDriver, PostgreSqlPlatform } from '@mikro-orm/postgresql';

/**
 * A string constant; one with a backslash says so, and means the same whatever `standard_conforming_strings` is.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE
 */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** The ORM quotes a text character by character, and makes a string of each: that is a third of all that a creation allocates. */
class QuotingPlatform extends PostgreSqlPlatform {
  override escape(value: unknown): string {
    return typeof value === 'string' ? quoteText(value) : super.escape(value);
  }
}

/** PostgreSQL by the ORM, with texts quoted as wholes. */
export class QuotingDriver extends PostgreSqlDriver {
  protected override readonly platform = new QuotingPlatform();
}
