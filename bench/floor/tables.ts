/** The least that a table of versions needs: its key, and the unique key that the numbering rests on. */
import type { TestDatabase } from '../../test/support/sql.ts';

/** With version 1 of each chain. */
export async function createFloorTables(database: TestDatabase, chains: number, document: string): Promise<void> {
  await database.query(`
    create table ieps (
      id uuid primary key,
      student_id integer not null,
      academic_year text not null,
      version integer not null,
      parent_version_id uuid,
      content json not null,
      create_time timestamptz not null,
      unique (student_id, academic_year, version)
    )`);
  await database.query(
    `insert into ieps (id, student_id, academic_year, version, content, create_time)
    select gen_random_uuid(), student, '2025-2026', 1, cast(? as json), clock_timestamp()
    from generate_series(1, cast(? as integer)) as student`,
    document,
    chains,
  );
  await database.query('vacuum analyze ieps');
}

export async function countVersions(database: TestDatabase): Promise<number> {
  const [row] = await database.query('select count(*) as versions from ieps');
  return Number(row?.['versions']);
}

/** How many chains have a version missing or twice, or one whose parent is not the version before. */
export async function brokenChains(database: TestDatabase): Promise<number> {
  const [row] = await database.query(`
    select count(*) as chains from (
      select child.student_id from ieps as child left join ieps as parent on parent.id = child.parent_version_id
      group by child.student_id
      having min(child.version) <> 1 or max(child.version) <> count(*) or count(distinct child.version) <> count(*)
        or bool_or(child.version > 1 and (parent.version is distinct from child.version - 1
          or parent.student_id <> child.student_id))
    ) as broken`);
  return Number(row?.['chains']);
}
