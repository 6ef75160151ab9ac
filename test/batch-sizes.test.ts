/** Batches of every size: as many calls as that wait for one chain, and get exactly the versions 1 to N. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { type Backend, expectInvariants, postgresql, sqlite } from './support/databases.ts';
import { expectChain, newStudent, YEAR } from './support/samples.ts';
import { type RunningService, startInProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';

/** A unit of work takes 64 calls at most. */
const SIZES = [...Array.from({ length: 64 }, (_, index) => index + 1), 65, 100, 129];

type Start = (databaseUrl: string) => Promise<RunningService>[];

const SETUPS: [string, Backend, Start][] = [
  ['one service on PostgreSQL', postgresql, (url) => [startInProcess(url)]],
  ['two service processes on PostgreSQL', postgresql, (url) => [startProcess(url), startProcess(url)]],
  ['VERSION_LOCK=row', postgresql, (url) => [startInProcess(url, { VERSION_LOCK: 'row' })]],
  ['VERSION_LOCK=none', postgresql, (url) => [startInProcess(url, { VERSION_LOCK: 'none' })]],
  ['one service on SQLite', sqlite, (url) => [startInProcess(url)]],
  ['two service processes on SQLite', sqlite, (url) => [startProcess(url), startProcess(url)]],
];

describe.each(SETUPS)('batches with %s', (_setup, backend, start) => {
  let database: TestDatabase;
  let services: RunningService[];

  beforeAll(async () => {
    database = await backend.create();
    services = await Promise.all(start(database.url));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database.drop();
  });

  /** Lets nobody write a version, whatever the services lock, until it is released. */
  async function hold(): Promise<() => Promise<unknown>> {
    if (backend.name === 'SQLite') {
      await database.query('begin immediate');
    } else {
      await database.query('begin');
      await database.query('lock table ieps in exclusive mode');
    }
    return () => database.query('rollback');
  }

  /** Makes `size` calls at once, over the services in turn, and answers what each service made, in order of the calls. */
  async function createTogether(size: number): Promise<Iep[][]> {
    const studentId = await newStudent(services[0]!.client);
    const release = await hold();
    const made = services.map(({ client }, index) => {
      const calls = Array.from({ length: Math.ceil((size - index) / services.length) }, (_, place) =>
        client.createIep({ studentId, academicYear: YEAR, content: { place } }),
      );
      return Promise.all(calls);
    });
    // Reads of the same connections are answered after the calls before them have arrived.
    await Promise.all(services.map(({ client }) => client.getStudent({ studentId })));
    await release();
    return (await Promise.all(made)).map((answers) => answers.map(({ iep }) => iep!));
  }

  it('of 1 to 64 calls and more number them in order of arrival', async () => {
    for (const size of SIZES) {
      const made = await createTogether(size);
      const all = made.flat();
      expect(all).toHaveLength(size);
      expectChain(all);
      for (const ieps of made) {
        const versions = ieps.map(({ version }) => version);
        expect(versions, `${size} calls`).toEqual(versions.toSorted((a, b) => a - b));
        expect(ieps.map(({ content }) => content)).toEqual(ieps.map((_, place) => ({ place })));
      }
    }
    await expectInvariants(database);
  });
});
