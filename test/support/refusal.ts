/** Refused calls: what a caller sees of one, and a suite whose calls must leave nothing behind. */
import { Code } from '@connectrpc/connect';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { BadRequestSchema, ErrorInfoSchema, ResourceInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { ErrorReason } from '../../src/gen/iep/v1/error_reason_pb.ts';
import type { Iep } from '../../src/gen/iep/v1/iep_pb.ts';
import type { Student } from '../../src/gen/iep/v1/student_pb.ts';
import { describeOnBoth, expectInvariants } from './databases.ts';
import { newIep, sampleStudent } from './samples.ts';
import { failureOf, type IepClient, type RunningService, startInProcess } from './service.ts';
import type { TestDatabase } from './sql.ts';

export interface Refusal {
  readonly code: string;
  readonly reason: string;
  /** Paths of the bad fields, in order. */
  readonly fields?: string[];
  /** Type and name of the resource. */
  readonly resource?: string;
  /** `committed`, and what else the reason brings. */
  readonly [metadata: string]: unknown;
}

/** The error of a call that must be refused, in the shape that every error has. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await failureOf(call);
  const infos = error.findDetails(ErrorInfoSchema);
  expect(infos).toHaveLength(1);
  const { domain, reason, metadata } = infos[0]!;
  expect(domain).toBe('iep.v1');
  expect(Object.keys(ErrorReason)).toContain(reason);
  expect(error.rawMessage).toMatch(/\.$/);
  const sizes = error.details.map((detail) => ('type' in detail ? detail.type.length + detail.value.byteLength : 0));
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(4096);

  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  for (const { description } of violations) {
    expect(description).not.toBe('');
  }
  const [first] = violations;
  expect(error.rawMessage).toContain(first?.field ?? '');
  const [resource] = error.findDetails(ResourceInfoSchema);
  return {
    code: Code[error.code],
    reason,
    ...metadata,
    ...(first && { fields: violations.map(({ field }) => field) }),
    ...(resource && { resource: `${resource.resourceType} ${resource.resourceName}` }),
  };
}

export function refusalsOf(calls: readonly Promise<unknown>[]): Promise<Refusal[]> {
  return Promise.all(calls.map(refusalOf));
}

export function invalid(...fields: string[]): Refusal {
  return { code: 'InvalidArgument', reason: 'INVALID_FIELD', committed: 'no', fields };
}

export function notFound(type: 'Student' | 'Iep', name: string): Refusal {
  const reason = `${type.toUpperCase()}_NOT_FOUND`;
  return { code: 'NotFound', reason, committed: 'no', resource: `iep.v1.${type} ${name}` };
}

export function numberTaken(studentNumber: string): Refusal {
  const resource = `iep.v1.Student ${studentNumber}`;
  return { code: 'AlreadyExists', reason: 'STUDENT_NUMBER_TAKEN', committed: 'no', resource };
}

export const malformed: Refusal = { code: 'InvalidArgument', reason: 'MALFORMED_REQUEST', committed: 'no' };
export const requestIdReused: Refusal = { code: 'InvalidArgument', reason: 'REQUEST_ID_REUSED', committed: 'no' };

const TABLES = ['students', 'ieps', 'goals', 'events', 'progress_notes'];

/** How many rows each table has. */
export async function countRows(database: TestDatabase): Promise<unknown> {
  const [counts] = await database.query(
    `select ${TABLES.map((table) => `(select count(*) from ${table}) as ${table}`).join()}`,
  );
  return counts;
}

export interface Fixture {
  readonly service: RunningService;
  readonly client: IepClient;
  /** A student with one version. */
  readonly student: Student;
  readonly iep: Iep;
}

/** Declares a suite for each database. Its tests share a service with one student, and none may change a row. */
export function describeRefusals(name: string, suite: (fixture: Fixture) => void): void {
  describeOnBoth(name, (backend) => {
    let database: TestDatabase;
    let service: RunningService;
    let rows: unknown;
    const fixture: { -readonly [Key in keyof Fixture]?: Fixture[Key] } = {};

    beforeAll(async () => {
      database = await backend.create();
      service = await startInProcess(database.url);
      const { client } = service;
      const { student } = await client.createStudent({ student: sampleStudent() });
      Object.assign(fixture, { service, client, student, iep: await newIep(client, student!.id) });
      rows = await countRows(database);
    });
    afterEach(async () => expect(await countRows(database)).toEqual(rows));
    afterAll(async () => {
      await service.stop();
      await expectInvariants(database);
      await database.drop();
    });

    suite(fixture as Fixture);
  });
}
