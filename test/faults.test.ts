import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../src/gen/health/v1/health_pb.ts';
import { type CommitProxy, openCommitProxy } from './support/commit-proxy.ts';
import { describeOnBoth, expectInvariants, postgresql } from './support/databases.ts';
import { freePort, startPostgreSql } from './support/postgresql.ts';
import { createAtOnce, expectChain, infoOf, newIep, newStudent, YEAR } from './support/samples.ts';
import { failureOf, type RunningService, spawnMain, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

async function outcomeOf(env: Record<string, string>): Promise<{ code: unknown; errors: string }> {
  const child = spawnMain({ GRPC_PORT: '0', HTTP_PORT: '0', ...env });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = (await once(child, 'close')) as [unknown];
  return { code, errors };
}

describe('a service that cannot start', () => {
  it.each(['off', 'auto'])('says that the database is down, with MIGRATE=%s', async (MIGRATE) => {
    const port = await freePort();
    const url = `postgresql://iep:secret@127.0.0.1:${port}/iep`;
    const { code, errors } = await outcomeOf({ DATABASE_URL: url, MIGRATE });
    expect(code).toBe(1);
    expect(errors).toContain(`The service cannot start: connect ECONNREFUSED 127.0.0.1:${port}`);
    expect(errors).not.toContain('secret');
  });

  it('says that the schema is missing', async () => {
    const { code, errors } = await outcomeOf({ DATABASE_URL: 'sqlite::memory:', MIGRATE: 'off' });
    expect(code).toBe(1);
    expect(errors).toContain('the database lacks 0001-initial, 0002-lifecycle. Run npm run migrate');
  });

  it('says what is wrong with its configuration', async () => {
    const { code, errors } = await outcomeOf({ POOL_SIZE: 'many' });
    expect(code).toBe(1);
    expect(errors).toContain('POOL_SIZE takes a whole number');
  });

  it('says that a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const { code, errors } = await outcomeOf({ DATABASE_URL: 'sqlite::memory:', HTTP_PORT: `${port}` });
    taken.close();
    expect(code).toBe(1);
    expect(errors).toContain('EADDRINUSE');
  });
});

describe('a database in memory', () => {
  it('is one database for all of a service, and another one for the next', async () => {
    const services = await Promise.all([startInProcess('sqlite::memory:'), startInProcess('sqlite::memory:')]);
    const [one, other] = services;
    const studentId = await newStudent(one.client);
    expectChain(await createAtOnce([one.client], 5, studentId));
    expect((await failureOf(other.client.getStudent({ studentId }))).code).toBe(Code.NotFound);
    await Promise.all(services.map((service) => service.stop()));
  });
});

const SOON = { timeout: 10_000 };

describeOnBoth('a service that is told to stop', (backend) => {
  it.each(['SIGTERM', 'SIGINT'] as const)('finishes the calls in flight on %s, then exits 0', async (signal) => {
    const database = await backend.create();
    const service = await startProcess(database.url);
    const studentId = await newStudent(service.client);
    const calls = createAtOnce([service.client], 50, studentId);
    // The first version is there, and the others wait in their lane.
    await vi.waitUntil(async () => (await database.query('select id from ieps')).length > 0, { interval: 1 });
    const exited = once(service.process, 'exit');
    service.process.kill(signal);
    expectChain(await calls);
    expect(await exited).toEqual([0, null]);
    expect(await database.query('select id from ieps')).toHaveLength(50);
    await expectInvariants(database);
    await database.drop();
  });

  it('refuses a call of which the end arrives afterwards', async () => {
    const database = await backend.create();
    const service = await startInProcess(database.url, { LOG_LEVEL: 'info' });
    const { port } = new URL(service.httpUrl);
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    socket.on('data', (bytes: Buffer) => (received += bytes.toString()));
    const body = JSON.stringify({ studentId: randomUUID() });
    socket.write(
      `POST /iep.v1.IEPService/GetStudent HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`,
    );
    await vi.waitUntil(() => received.includes('100 Continue'), SOON);
    const stopped = service.stop();
    // It takes no new connections from then on.
    const isClosed = () =>
      fetch(service.httpUrl).then(
        () => false,
        () => true,
      );
    await vi.waitUntil(isClosed, SOON);
    socket.end(body);
    await once(socket, 'close');
    expect(received).toMatch(/HTTP\/1.1 503 /);
    expect(received).toContain('"reason":"DRAINING"');
    await stopped;
    const isTold = () => service.log.lines.some(({ msg, reason }) => msg === 'refused' && reason === 'DRAINING');
    await vi.waitUntil(isTold, SOON);
    await database.drop();
  });
});

async function healthOf({ grpcUrl }: RunningService): Promise<ServingStatus> {
  const health = createClient(Health, createGrpcTransport({ baseUrl: grpcUrl }));
  return (await health.check({ service: 'iep.v1.IEPService' })).status;
}

describe('a PostgreSQL that goes away', () => {
  it('is UNAVAILABLE until it is back, and the service recovers by itself', async () => {
    const server = await startPostgreSql();
    const service = await startInProcess(server.url, { MIGRATE: 'auto' });
    try {
      const studentId = await newStudent(service.client);
      await newIep(service.client, studentId);
      await server.pause();
      const calls = [newIep(service.client, studentId), service.client.getStudent({ studentId })];
      for (const failure of await Promise.all(calls.map((call) => failureOf(call)))) {
        expect(failure.code).toBe(Code.Unavailable);
        expect(infoOf(failure)).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', metadata: { committed: 'no' } });
      }
      await vi.waitUntil(async () => (await healthOf(service)) === ServingStatus.NOT_SERVING, { timeout: 20_000 });
      await server.resume();
      expect(await newIep(service.client, studentId)).toMatchObject({ version: 2 });
      await vi.waitUntil(async () => (await healthOf(service)) === ServingStatus.SERVING, { timeout: 20_000 });
    } finally {
      await service.stop();
      await server.stop();
    }
  });
});

describe('a commit whose answer is lost', () => {
  let database: TestDatabase;
  let proxy: CommitProxy;
  let service: RunningService;
  let studentId: string;

  beforeEach(async () => {
    database = await postgresql.create();
    proxy = await openCommitProxy(database.url);
    service = await startInProcess(proxy.url);
    studentId = await newStudent(service.client);
  });
  afterEach(async () => {
    await service.stop();
    proxy.close();
    await expectInvariants(database);
    await database.drop();
  });

  it.each([
    ['with a request id', randomUUID()],
    ['without one', ''],
  ])('leaves one version of a call %s', async (_what, requestId) => {
    proxy.loseAnswer('cut');
    const { iep } = await service.client.createIep({ studentId, academicYear: YEAR, requestId });
    expect(iep).toMatchObject({ version: 1 });
    expect(await database.query('select id from ieps')).toEqual([{ id: iep!.id }]);
    expect(await newIep(service.client, studentId)).toMatchObject({ version: 2, parentVersionId: iep!.id });
  });

  it('leaves one row of each student of a batch without a request id', async () => {
    proxy.loseAnswer('cut');
    const batch = ['S-1', 'S-2', 'S-3'].map((studentNumber) => ({ studentNumber, givenName: 'A', familyName: 'B' }));
    const { students } = await service.client.batchCreateStudents({ students: batch });
    expect(students.map(({ studentNumber }) => studentNumber)).toEqual(['S-1', 'S-2', 'S-3']);
    expect(await database.query('select id from students')).toHaveLength(4);
  });

  it('is OUTCOME_UNKNOWN at the deadline, and the same request id finds out', async () => {
    const request = { studentId, academicYear: YEAR, requestId: randomUUID() };
    proxy.loseAnswer('silence');
    const failure = await failureOf(service.client.createIep(request, { timeoutMs: 500 }));
    expect(failure.code).toBe(Code.DeadlineExceeded);
    expect(infoOf(failure)).toMatchObject({ reason: 'OUTCOME_UNKNOWN', metadata: { committed: 'unknown' } });
    proxy.endConnections();
    const { iep } = await service.client.createIep(request);
    expect(await database.query('select id, version from ieps')).toEqual([{ id: iep!.id, version: 1 }]);
  });
});

describe('a connection that falls silent during COMMIT', () => {
  it('is given up, and its caller and those behind it get their versions', { timeout: 60_000 }, async () => {
    const database = await postgresql.create();
    const proxy = await openCommitProxy(database.url);
    const service = await startInProcess(proxy.url, { LOG_LEVEL: 'info' });
    const studentId = await newStudent(service.client);
    proxy.loseAnswer('silence');
    const ieps = await createAtOnce([service.client], 3, studentId);
    expectChain(ieps);
    expect(await database.query('select id from ieps')).toHaveLength(3);
    expect(service.log.lines.filter(({ msg }) => msg === 'retry')).toMatchObject([{ failure: 'ambiguous' }]);
    await service.stop();
    proxy.close();
    await expectInvariants(database);
    await database.drop();
  });
});

describeOnBoth('callers who do not wait', (backend) => {
  it('spend no version', async () => {
    const database = await backend.create();
    const service = await startInProcess(database.url);
    const studentId = await newStudent(service.client);
    const impatient = Array.from({ length: 30 }, () => {
      const caller = new AbortController();
      const call = service.client.createIep({ studentId, academicYear: YEAR }, { signal: caller.signal });
      setImmediate(() => caller.abort());
      return call.then(
        ({ iep }) => iep!.id,
        () => undefined,
      );
    });
    const patient = await createAtOnce([service.client], 20, studentId);
    await Promise.all(impatient);
    const rows = await database.query('select id, version from ieps order by version');
    expect(rows.map(({ version }) => version)).toEqual(rows.map((_, index) => index + 1));
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(patient.map(({ id }) => id)));
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });
});
