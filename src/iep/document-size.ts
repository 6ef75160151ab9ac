import type { Reader } from '../persistence/unit-of-work.ts';

/** What is long in a document, its content and its goals, in bytes; by its id, in any order. */
export async function findSizes(
  { em }: Reader,
  districtId: string,
  iepIds: readonly string[],
): Promise<[string, number][]> {
  const rows = await em.execute<{ id: string; bytes: number | string }[]>(
    `select id, octet_length(cast(content as text)) + coalesce((
       select sum(octet_length(goal_text) + octet_length(baseline) + octet_length(target_criteria)
         + octet_length(measurement_method))
       from goals where goals.district_id = ieps.district_id and goals.iep_id = ieps.id
     ), 0) as bytes
     from ieps where district_id = ? and id in (${iepIds.map(() => '?').join(', ')})`,
    [districtId, ...iepIds],
  );
  return rows.map(({ id, bytes }) => [id, Number(bytes)]);
}
