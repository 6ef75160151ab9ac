/** Watchers while many write: two service processes, cut connections, killed services, and one who does not read. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { IepChange } from '../src/gen/iep/v1/watch_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { idleByGrpc, idleByHttp } from './support/idle-watch.ts';
import { newIep, newStudent } from './support/samples.ts';
import { clientsOf, type ServiceProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { expectLedger, toldOf, versionsOf, watchFromNow, watchOn } from './support/watching.ts';

describeOnBoth('watchers under load', (backend) => {
  let database: TestDatabase;
  let services: ServiceProcess[];

  beforeEach(async () => {
    database = await backend.create();
    services = await Promise.all([startProcess(database.url), startProcess(database.url)]);
  });
  afterEach(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await expectInvariants(database);
    await database.drop();
  });

  const clientOf = (index: number) => services[index % services.length]!.client;

  /** Writes versions of each student by both processes at once; what fails is tried no more. */
  const write = (students: readonly string[], each: number) =>
    Promise.all(
      students.flatMap((studentId) =>
        Array.from({ length: each }, (_, index) =>
          newIep(clientOf(index), studentId, index % 3 === 0 ? '2026-2027' : '2025-2026').catch(() => undefined),
        ),
      ),
    );

  const countChanges = async (studentId?: string) => {
    const [row] = await database.query(
      `select count(*) as count from events where iep_id is not null ${studentId === undefined ? '' : 'and student_id = ?'}`,
      ...(studentId === undefined ? [] : [studentId]),
    );
    return Number(row?.['count']);
  };

  it('are told of each change once and in order, 50 of them, in two processes', async () => {
    const students = await Promise.all(Array.from({ length: 20 }, (_, index) => newStudent(clientOf(index))));
    const scopes = Array.from({ length: 50 }, (_, index) => (index < 10 ? undefined : students[index % 20]!));
    const clients = services.flatMap((service) => Object.values(clientsOf(service)));
    const watchers = await Promise.all(
      scopes.map((studentId, index) =>
        watchFromNow(clients[index % clients.length]!, studentId === undefined ? {} : { studentId }),
      ),
    );
    await write(students, 12);
    for (const [index, watching] of watchers.entries()) {
      const count = await countChanges(scopes[index]);
      await toldOf(watching, count);
      expect(watching.changes).toHaveLength(count);
      await expectLedger(watching.changes, database, scopes[index]);
    }
    await Promise.all(watchers.map((watching) => watching.cancel()));
  });

  it('go on where they were when they are cut off, and when a service is killed', async () => {
    const students = await Promise.all(Array.from({ length: 10 }, (_, index) => newStudent(clientOf(index))));
    // Begun before anything is written, so that the whole ledger is theirs.
    const first = await watchFromNow(clientOf(0));
    await first.cancel();
    const watchers = Array.from({ length: 8 }, (_, index) => watchOn(() => clientOf(index), '', first.token));
    const cutter = new AbortController();
    const cutting = (async () => {
      while (!cutter.signal.aborted) {
        await sleep(Math.random() * 40);
        watchers[Math.floor(Math.random() * watchers.length)]!.cut();
      }
    })();
    for (let round = 0; round < 3; round++) {
      const writing = write(students, 12);
      await vi.waitFor(async () => expect(await countChanges()).toBeGreaterThan(round * 60), { timeout: 20_000 });
      const victim = services[round % 2]!;
      const exited = once(victim.process, 'exit');
      victim.process.kill('SIGKILL');
      await exited;
      services[round % 2] = await startProcess(database.url);
      await writing;
    }
    cutter.abort();
    await cutting;
    const count = await countChanges();
    expect(count).toBeGreaterThan(100);
    for (const watching of watchers) {
      await vi.waitFor(() => expect(watching.changes.length).toBeGreaterThanOrEqual(count), { timeout: 30_000 });
      await expectLedger(watching.changes, database);
      expect(watching.ends.length).toBeGreaterThan(0);
      await watching.stop();
    }
  });

  it('who do not read are only behind: nothing is taken for them, and nobody is held up', async () => {
    const { client, grpcUrl, httpUrl } = services[0]!;
    const studentId = await newStudent(client);
    const idle = await Promise.all(
      [1, 2].flatMap(() => [idleByGrpc(grpcUrl, studentId), idleByHttp(httpUrl, studentId)]),
    );
    const quick = await watchFromNow(client, { studentId });
    const versions = Array.from({ length: 120 }, (_, index) => index + 1);
    for (const _ of versions) {
      await client.createIep({ studentId, academicYear: '2025-2026', content: { text: 'x'.repeat(200_000) } });
    }
    await toldOf(quick, versions.length);
    expect(quick.changes.map(({ iep }) => iep?.createdBy)).not.toContain('later');
    await quick.cancel();
    // What is sent from now on shows it; what waits in buffers does not.
    await database.query(`update ieps set created_by = 'later' where student_id = ?`, studentId);
    for (const watching of idle) {
      const changes: IepChange[] = [];
      watching.read(({ payload }) => payload.case === 'change' && changes.push(payload.value));
      await vi.waitFor(() => expect(changes).toHaveLength(versions.length), { timeout: 30_000 });
      expect(versionsOf(changes)).toEqual(versions);
      const sent = changes.findIndex(({ iep }) => iep?.createdBy === 'later');
      // About 12 MB, most of it in the sockets.
      expect(sent).toBeGreaterThan(0);
      expect(sent).toBeLessThan(60);
      expect(new Set(changes.slice(sent).map(({ iep }) => iep?.createdBy))).toEqual(new Set(['later']));
      watching.close();
    }
  });
});
