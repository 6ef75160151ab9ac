import { IepStatus } from '../../src/gen/iep/v1/iep_pb.ts';
import type { TestDatabase } from './sql.ts';

export const FINAL_STATUSES = ['APPROVED', 'ACTIVE', 'SUPERSEDED', 'ENDED'] as const;
export const OTHER_STATUSES = ['DRAFT', 'UNDER_REVIEW', 'RETURNED', 'DISCARDED'] as const;
export type StatusName = (typeof FINAL_STATUSES)[number] | (typeof OTHER_STATUSES)[number];

/** Gives a draft another status past the service. */
export async function setStatus(database: TestDatabase, iepId: string, status: StatusName): Promise<IepStatus> {
  const change = (to: StatusName) => database.query('update ieps set status = ? where id = ?', to, iepId);
  if (FINAL_STATUSES.some((final) => final === status)) {
    await database.query(
      `update ieps set status = 'APPROVED', approved_by = 'principal', approve_time = update_time, content_sha256 = ?
       where id = ?`,
      'a'.repeat(64),
      iepId,
    );
  }
  if (status === 'SUPERSEDED' || status === 'ENDED') {
    await change('ACTIVE');
  }
  await change(status);
  return IepStatus[status];
}
