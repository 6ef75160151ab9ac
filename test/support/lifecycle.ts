/** Documents on their way: complete ones, and the calls that move them. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Iep, IepStatus, MeasurementFrequency } from '../../src/gen/iep/v1/iep_pb.ts';
import type { CreateIepRequestSchema } from '../../src/gen/iep/v1/iep_service_pb.ts';
import { newStudent, YEAR } from './samples.ts';
import type { IepClient } from './service.ts';

export const GOAL = {
  goalKey: 'reading',
  goalText: 'Reads 90 words a minute',
  baseline: '60 words',
  targetCriteria: '90 words in 4 of 5 trials',
  measurementMethod: 'curriculum-based measurement',
  measurementFrequency: MeasurementFrequency.WEEKLY,
};

/** What approval asks for. */
export const COMPLETE = {
  content: { summary: 'reads well' },
  goals: [GOAL],
  effectiveDate: '2025-01-15',
  reviewDate: '2026-01-14',
};

/** The headers of a call by this person. */
export const as = (user: string) => ({ headers: { 'x-user-id': user } });

export const MOVES = ['submitIep', 'returnIep', 'approveIep', 'activateIep', 'endIep', 'discardIep'] as const;
export type Move = (typeof MOVES)[number];

/** Moves a document, whatever its etag. By default it is the approver who does. */
export async function move(client: IepClient, iepId: string, name: Move, over: object = {}): Promise<Iep> {
  const { iep } = await client[name]({ iepId, etag: '*', comment: 'so it is', ...over }, as('approver'));
  return iep!;
}

/** What leads from a draft to each status. Another document's activation does the rest for SUPERSEDED. */
const WAYS: Record<string, readonly Move[]> = {
  DRAFT: [],
  UNDER_REVIEW: ['submitIep'],
  RETURNED: ['submitIep', 'returnIep'],
  APPROVED: ['submitIep', 'approveIep'],
  ACTIVE: ['submitIep', 'approveIep', 'activateIep'],
  SUPERSEDED: ['submitIep', 'approveIep', 'activateIep'],
  ENDED: ['submitIep', 'approveIep', 'activateIep', 'endIep'],
  DISCARDED: ['discardIep'],
};

export const STATUSES = Object.keys(WAYS);

export const statusOf = ({ status }: Iep): string =>
  Object.entries(IepStatus).find(([, number]) => number === status)![0];

type Request = MessageInitShape<typeof CreateIepRequestSchema>;

/** A document in this status, of a new student unless one is given. The teacher wrote it. */
export async function iepIn(client: IepClient, status: string, over: Request = {}): Promise<Iep> {
  const studentId = over.studentId ?? (await newStudent(client));
  const request = { academicYear: YEAR, ...COMPLETE, ...over, studentId };
  const { iep } = await client.createIep(request, as('teacher'));
  for (const name of WAYS[status]!) {
    await move(client, iep!.id, name);
  }
  if (status === 'SUPERSEDED') {
    await iepIn(client, 'ACTIVE', { studentId });
  }
  return (await client.getIep({ iepId: iep!.id })).iep!;
}
