import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ConnectError } from '@connectrpc/connect';
import { expect } from 'vitest';
import { type ErrorInfo, ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import type { Iep } from '../../src/gen/iep/v1/iep_pb.ts';
import type { StudentSchema } from '../../src/gen/iep/v1/student_pb.ts';
import type { IepClient } from './service.ts';

export const YEAR = '2025-2026';

export function sampleStudent(over: MessageInitShape<typeof StudentSchema> = {}) {
  return { studentNumber: `S-${randomUUID()}`, givenName: 'Ada', familyName: 'Lovelace', ...over };
}

/** Creates a student and answers its id. */
export async function newStudent(client: IepClient): Promise<string> {
  const { student } = await client.createStudent({ student: sampleStudent() });
  return student!.id;
}

/** Creates one version. */
export async function newIep(client: IepClient, studentId: string, academicYear = YEAR): Promise<Iep> {
  const { iep } = await client.createIep({ studentId, academicYear, content: { summary: 'reads well' } });
  return iep!;
}

/** Creates `count` versions at once, over the clients in turn. */
export async function createAtOnce(
  clients: IepClient[],
  count: number,
  studentId: string,
  academicYear = YEAR,
): Promise<Iep[]> {
  const calls = Array.from({ length: count }, (_, index) =>
    newIep(clients[index % clients.length]!, studentId, academicYear),
  );
  return Promise.all(calls);
}

/** Versions are exactly 1 to N, and the parent of v is the id of v - 1. */
export function expectChain(ieps: readonly Iep[]): void {
  const chain = ieps.toSorted((a, b) => a.version - b.version);
  expect(chain.map(({ version }) => version)).toEqual(chain.map((_, index) => index + 1));
  expect(chain.map(({ parentVersionId }) => parentVersionId)).toEqual(['', ...chain.slice(0, -1).map(({ id }) => id)]);
}

/** The one ErrorInfo that every error carries. */
export function infoOf(error: ConnectError): ErrorInfo {
  const infos = error.findDetails(ErrorInfoSchema);
  expect(infos).toHaveLength(1);
  expect(infos[0]?.domain).toBe('iep.v1');
  return infos[0]!;
}

/** Texts that break out of badly built statements, and that a database must give back as they are. */
export const HOSTILE_TEXTS = [
  "Robert'); drop table students; --",
  `"quoted" and 'quoted'`,
  String.raw`back\slash \' \0 \n \x41`,
  '? ?? $1 $$ :name @p1 %s #{x} ${y}',
  '; select 1; /* comment */ -- end',
  '100% _ like',
  '{"json":["[]"]}',
  '<b>&amp;</b>',
  'e\u0302moji 🦉👩‍👩‍👧'.normalize('NFC'),
  'null',
];
