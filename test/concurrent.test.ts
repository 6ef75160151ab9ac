/** Creations at once: whatever the setup, every call succeeds, and the versions are exactly 1 to N. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { createAtOnce, expectChain, newIep, newStudent } from './support/samples.ts';
import { type IepClient, type RunningService, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

type Start = (databaseUrl: string) => Promise<RunningService>[];

const twoProcesses = (databaseUrl: string, env: Record<string, string> = {}) => [
  startProcess(databaseUrl, env),
  startProcess(databaseUrl, env),
];

const SETUPS: Record<string, Start> = {
  'one service': (url) => [startInProcess(url)],
  'two service processes': (url) => twoProcesses(url),
  'a pool of two connections': (url) => [startInProcess(url, { POOL_SIZE: '2' })],
  'VERSION_LOCK=row': (url) => [startInProcess(url, { VERSION_LOCK: 'row' })],
  'VERSION_LOCK=none': (url) => [startInProcess(url, { VERSION_LOCK: 'none' })],
  'VERSION_LOCK=row and two service processes': (url) => twoProcesses(url, { VERSION_LOCK: 'row' }),
  'VERSION_LOCK=none and two service processes': (url) => twoProcesses(url, { VERSION_LOCK: 'none' }),
};

describeOnBoth('concurrent creation', (backend) => {
  describe.each(Object.entries(SETUPS))('with %s', (_setup, start) => {
    let database: TestDatabase;
    let services: RunningService[];
    let clients: IepClient[];

    beforeAll(async () => {
      database = await backend.create();
      services = await Promise.all(start(database.url));
      clients = services.map(({ client }) => client);
    });
    afterEach(() => expectInvariants(database));
    afterAll(async () => {
      await Promise.all(services.map((service) => service.stop()));
      await database.drop();
    });

    it('numbers versions that are created one after the other', async () => {
      const studentId = await newStudent(clients[0]!);
      const ieps = [];
      for (let count = 0; count < 10; count++) {
        ieps.push(await newIep(clients[count % clients.length]!, studentId));
      }
      expect(ieps.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expectChain(ieps);
    });

    it.each([5, 20, 30, 100])('serves %i callers of one chain', async (count) => {
      const ieps = await createAtOnce(clients, count, await newStudent(clients[0]!));
      expect(ieps).toHaveLength(count);
      expectChain(ieps);
    });

    it('keeps the chains of several students apart', async () => {
      const students = await Promise.all(Array.from({ length: 8 }, () => newStudent(clients[0]!)));
      const chains = await Promise.all(students.map((studentId) => createAtOnce(clients, 8, studentId)));
      chains.forEach((chain) => expectChain(chain));
    });

    it('keeps the chains of several years apart', async () => {
      const studentId = await newStudent(clients[0]!);
      const years = ['2022-2023', '2023-2024', '2024-2025', '2025-2026'];
      const chains = await Promise.all(years.map((year) => createAtOnce(clients, 10, studentId, year)));
      chains.forEach((chain) => expectChain(chain));
    });
  });
});
