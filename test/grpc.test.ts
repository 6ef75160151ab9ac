/** Native gRPC: what clients in other languages and tools rely on. */
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { ErrorInfoSchema, ResourceInfoSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../src/gen/google/rpc/status_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../src/gen/health/v1/health_pb.ts';
import { GetStudentRequestSchema, GetStudentResponseSchema } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeRefusals, refusalOf } from './support/refusal.ts';
import { clientsOf } from './support/service.ts';
import { callByGrpc } from './support/wire.ts';

const GET_STUDENT = '/iep.v1.IEPService/GetStudent';
const getStudent = (studentId: string) =>
  toBinary(GetStudentRequestSchema, create(GetStudentRequestSchema, { studentId }));

describeRefusals('native gRPC', (fixture) => {
  it('answers bytes with bytes', async () => {
    const { service, student } = fixture;
    const answer = await callByGrpc(service.grpcUrl, GET_STUDENT, getStudent(student.id));
    expect(fromBinary(GetStudentResponseSchema, answer).student).toEqual(student);
  });

  it('tells an error by status, message and grpc-status-details-bin', async () => {
    const unknown = '01980000-0000-7000-8000-000000000000';
    const error = await callByGrpc(fixture.service.grpcUrl, GET_STUDENT, getStudent(unknown)).then(
      () => expect.fail('the call succeeded'),
      (reason: unknown) => reason as ServiceError,
    );
    expect(error.code).toBe(status.NOT_FOUND);
    expect(error.details).toContain(unknown);
    const values = error.metadata.get('grpc-status-details-bin') as Buffer[];
    expect(values).toHaveLength(1);
    const { code, message, details } = fromBinary(StatusSchema, values[0]!);
    expect({ code, message }).toEqual({ code: error.code, message: error.details });
    expect(details.map(({ typeUrl }) => typeUrl)).toEqual([
      'type.googleapis.com/google.rpc.ErrorInfo',
      'type.googleapis.com/google.rpc.ResourceInfo',
    ]);
    const [info, resource] = details;
    expect(fromBinary(ErrorInfoSchema, info!.value)).toMatchObject({ domain: 'iep.v1', reason: 'STUDENT_NOT_FOUND' });
    expect(fromBinary(ResourceInfoSchema, resource!.value)).toMatchObject({ resourceName: unknown });
  });

  it('keeps the details with the status when they are many', async () => {
    const students = Array.from({ length: 1000 }, () => ({ givenName: 'x'.repeat(101), familyName: '\u0000' }));
    for (const client of Object.values(clientsOf(fixture.service))) {
      const { fields } = await refusalOf(client.batchCreateStudents({ students }));
      expect(fields).toHaveLength(20);
    }
  });

  it.each(['', 'iep.v1.IEPService'])('is healthy as %j', async (service) => {
    const health = createClient(Health, createGrpcTransport({ baseUrl: fixture.service.grpcUrl }));
    expect((await health.check({ service })).status).toBe(ServingStatus.SERVING);
  });

  it('knows the health of nothing else', async () => {
    const health = createClient(Health, createGrpcTransport({ baseUrl: fixture.service.grpcUrl }));
    await expect(health.check({ service: 'iep.v1.Other' })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('has no other method', async () => {
    const call = callByGrpc(fixture.service.grpcUrl, '/iep.v1.IEPService/DeleteStudent', Buffer.alloc(0));
    await expect(call).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  });

  describe.each(['v1', 'v1alpha'])('reflection %s', (version) => {
    /** ServerReflectionRequest and its answer hold what they are about as plain text. */
    async function reflect(field: number, text: string): Promise<string> {
      const client = new Client(new URL(fixture.service.grpcUrl).host, credentials.createInsecure());
      const asIs = (bytes: Buffer) => bytes;
      const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      const call = client.makeBidiStreamRequest(path, asIs, asIs);
      try {
        return await new Promise((resolve, reject) => {
          call.on('data', (answer: Buffer) => resolve(answer.toString('latin1')));
          call.on('error', reject);
          call.write(Buffer.concat([Buffer.of(field * 8 + 2, text.length), Buffer.from(text)]));
        });
      } finally {
        call.end();
        client.close();
      }
    }

    it('lists the service', async () => {
      expect(await reflect(7, '*')).toContain('iep.v1.IEPService');
    });

    it.each([
      ['the service', 4, 'iep.v1.IEPService', 'iep/v1/iep_service.proto'],
      ['a method', 4, 'iep.v1.IEPService.CreateIep', 'iep/v1/iep_service.proto'],
      ['the reasons of errors', 4, 'iep.v1.ErrorReason', 'ERROR_REASON_VERSION_MISMATCH'],
      ['the details of errors', 4, 'google.rpc.BadRequest', 'FieldViolation'],
      ['a file that is imported', 3, 'google/protobuf/struct.proto', 'google.protobuf'],
    ])('describes %s', async (_what, field, text, expected) => {
      expect(await reflect(field, text)).toContain(expected);
    });
  });
});
