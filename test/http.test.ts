/** Plain HTTP: curl, browsers and GET. */
import { toJson } from '@bufbuild/protobuf';
import { Code, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  compressionGzip,
} from '@connectrpc/connect-node';
import { expect, it } from 'vitest';
import { IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { IepSchema } from '../src/gen/iep/v1/iep_pb.ts';
import { StudentSchema } from '../src/gen/iep/v1/student_pb.ts';
import { describeRefusals, invalid, refusalOf } from './support/refusal.ts';
import { YEAR } from './support/samples.ts';
import { failureOf } from './support/service.ts';

describeRefusals('plain HTTP', (fixture) => {
  const urlOf = (rpc: string) => `${fixture.service.httpUrl}/iep.v1.IEPService/${rpc}`;
  const post = (rpc: string, body: string) =>
    fetch(urlOf(rpc), { method: 'POST', headers: { 'content-type': 'application/json' }, body });

  it.each(['studentId', 'student_id'])('takes JSON with %s, and answers JSON', async (name) => {
    const { student } = fixture;
    const answer = await post('GetStudent', JSON.stringify({ [name]: student.id }));
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(await answer.json()).toEqual({ student: toJson(StudentSchema, student) });
  });

  it('answers an error as JSON', async () => {
    const answer = await post('CreateIep', `{"student_id":"x","academic_year":"2025"}`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('student_id') as string,
      details: [
        { type: 'google.rpc.ErrorInfo', debug: { reason: 'INVALID_FIELD', domain: 'iep.v1' } },
        {
          type: 'google.rpc.BadRequest',
          debug: { fieldViolations: [{ field: 'student_id' }, { field: 'academic_year' }] },
        },
      ],
    });
  });

  it('answers a malformed request with details, too', async () => {
    const answer = await post('CreateIep', `{"student_id"`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      code: 'invalid_argument',
      details: [{ debug: { reason: 'MALFORMED_REQUEST', metadata: { committed: 'no' } } }],
    });
  });

  it('reads by GET', async () => {
    const { student, iep } = fixture;
    const message = encodeURIComponent(JSON.stringify({ student_id: student.id, academic_year: YEAR }));
    const answer = await fetch(`${urlOf('GetLatestIep')}?encoding=json&message=${message}`);
    expect(await answer.json()).toEqual({ iep: toJson(IepSchema, iep) });
    const bad = await fetch(`${urlOf('GetLatestIep')}?encoding=json&message=%7B%7D`);
    expect(bad.status).toBe(400);
    expect(await bad.json()).toMatchObject({ details: [{ debug: { reason: 'INVALID_FIELD' } }, {}] });
  });

  it.each([true, false])('reads by GET from a Connect client (binary: %j)', async (useBinaryFormat) => {
    const { student, iep, service } = fixture;
    const transport = createConnectTransport({
      baseUrl: service.httpUrl,
      httpVersion: '1.1',
      useBinaryFormat,
      useHttpGet: true,
    });
    const client = createClient(IEPService, transport);
    const studentId = student.id;
    expect((await client.getStudent({ studentId })).student).toEqual(student);
    expect((await client.listStudents({ studentNumber: student.studentNumber })).students).toEqual([student]);
    expect((await client.getIep({ iepId: iep.id })).iep).toEqual(iep);
    expect((await client.getLatestIep({ studentId, academicYear: YEAR })).iep).toEqual(iep);
    expect((await client.listIeps({ studentId })).ieps).toEqual([iep]);
    expect(await refusalOf(client.getStudent({}))).toEqual(invalid('student_id'));
  });

  it.each([
    ['a write by GET', 405, 'CreateStudent?encoding=json&message=%7B%7D', { method: 'GET' }],
    ['an unknown method', 404, 'DeleteStudent', { method: 'POST' }],
    ['a text', 415, 'GetStudent', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' }],
  ])('answers %s with %i', async (_what, code, rpc, init) => {
    expect((await fetch(urlOf(rpc), init)).status).toBe(code);
  });

  it('answers those who send far too much', async () => {
    const body = ' '.repeat(20_000_000);
    for (let count = 0; count < 3; count++) {
      const answer = await post('CreateStudent', body);
      expect(answer.status).toBe(429);
      expect(await answer.json()).toMatchObject({ code: 'resource_exhausted' });
    }
  });

  it.each(['application/json; charset=utf-8', 'application/grpc-web+json'])('reads %s', async (type) => {
    const message = Buffer.from('{"student":{"givenNames":"Ada"}}');
    const envelope = type.startsWith('application/grpc-web') ? Buffer.of(0, 0, 0, 0, message.length) : '';
    const body = `${envelope.toString('latin1')}${message.toString('latin1')}`;
    const answer = await fetch(urlOf('CreateStudent'), { method: 'POST', headers: { 'content-type': type }, body });
    expect(await answer.text()).toContain('givenNames');
  });

  const compressing = { sendCompression: compressionGzip, compressMinBytes: 0 };
  it.each([
    ['gRPC', () => createGrpcTransport({ baseUrl: fixture.service.grpcUrl, ...compressing })],
    ['Connect', () => createConnectTransport({ baseUrl: fixture.service.httpUrl, httpVersion: '1.1', ...compressing })],
    [
      'gRPC-Web',
      () => createGrpcWebTransport({ baseUrl: fixture.service.httpUrl, httpVersion: '1.1', ...compressing }),
    ],
  ])('unpacks compressed requests over %s, at most 4 MiB', async (_protocol, transport) => {
    const client = createClient(IEPService, transport());
    const { student } = fixture;
    expect((await client.getStudent({ studentId: student.id })).student).toEqual(student);
    const goals = [{ goalText: 'x'.repeat(5 * 1024 * 1024) }];
    const { code } = await failureOf(client.createIep({ studentId: student.id, academicYear: YEAR, goals }));
    expect(code).toBe(Code.ResourceExhausted);
  });
});
