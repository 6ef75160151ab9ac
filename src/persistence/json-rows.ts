/** A row as `jsonRows` gives it: the values of its columns, whose names would be half of what is sent and read. */
export type JsonRow = readonly unknown[];

/** The row with the names of its columns, which are given in their order. */
export function named<Row extends object>(columns: readonly (keyof Row)[], values: JsonRow): Row {
  const row: Partial<Record<keyof Row, unknown>> = {};
  for (let index = 0; index < columns.length; index++) {
    row[columns[index]!] = values[index];
  }
  return row as Row;
}
