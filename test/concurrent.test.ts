import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { createAtOnce, expectChain, newIep, newStudent, YEAR } from './support/samples.ts';
import { type RunningService, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

describeOnBoth('concurrent creation', (backend) => {
  let database: TestDatabase;
  const services: RunningService[] = [];

  beforeEach(async () => {
    database = await backend.create();
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await expectInvariants(database);
    await database.drop();
  });

  async function start(env: Record<string, string> = {}): Promise<RunningService> {
    const service = await startInProcess(database.url, env);
    services.push(service);
    return service;
  }

  it('numbers versions that are created one after the other', async () => {
    const { client } = await start();
    const studentId = await newStudent(client);
    const ieps = [];
    for (let count = 0; count < 10; count++) {
      ieps.push(await newIep(client, studentId));
    }
    expect(ieps.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expectChain(ieps);
  });

  it.each([5, 20, 30, 100])('serves %i callers of one chain at once', async (count) => {
    const { client } = await start();
    const ieps = await createAtOnce([client], count, await newStudent(client));
    expect(ieps).toHaveLength(count);
    expectChain(ieps);
  });

  it('keeps the chains of several students apart', async () => {
    const { client } = await start();
    const students = await Promise.all(Array.from({ length: 8 }, () => newStudent(client)));
    const chains = await Promise.all(students.map((studentId) => createAtOnce([client], 8, studentId)));
    chains.forEach((chain) => expectChain(chain));
  });

  it('keeps the chains of several years apart', async () => {
    const { client } = await start();
    const studentId = await newStudent(client);
    const years = ['2022-2023', '2023-2024', '2024-2025', '2025-2026'];
    const chains = await Promise.all(years.map((year) => createAtOnce([client], 10, studentId, year)));
    chains.forEach((chain) => expectChain(chain));
  });

  it('serves 60 callers over two service processes', async () => {
    const processes = await Promise.all([startProcess(database.url), startProcess(database.url)]);
    services.push(...processes);
    const clients = processes.map(({ client }) => client);
    const studentId = await newStudent(clients[0]!);
    const ieps = await createAtOnce(clients, 60, studentId);
    expect(ieps).toHaveLength(60);
    expectChain(ieps);
  });

  it('serves more chains than it has connections', async () => {
    const { client } = await start({ POOL_SIZE: '2' });
    const students = await Promise.all(Array.from({ length: 10 }, () => newStudent(client)));
    const chains = await Promise.all(students.map((studentId) => createAtOnce([client], 5, studentId)));
    chains.forEach((chain) => expectChain(chain));
  });

  describe.each(['row', 'none'])('with VERSION_LOCK=%s', (lock) => {
    it('serves 50 callers of one chain', async () => {
      const { client } = await start({ VERSION_LOCK: lock });
      const ieps = await createAtOnce([client], 50, await newStudent(client));
      expectChain(ieps);
    });

    it('serves 60 callers over two services, which share no lane', async () => {
      const both = await Promise.all([
        startProcess(database.url, { VERSION_LOCK: lock }),
        startProcess(database.url, { VERSION_LOCK: lock }),
      ]);
      services.push(...both);
      const clients = both.map(({ client }) => client);
      const studentId = await newStudent(clients[0]!);
      const ieps = await createAtOnce(clients, 60, studentId, YEAR);
      expectChain(ieps);
    });
  });
});
