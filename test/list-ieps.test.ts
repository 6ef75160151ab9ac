/** Lists of documents: their order, and pages that end early. */
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, it } from 'vitest';
import { IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { newIep, newStudent, YEAR } from './support/samples.ts';
import { type IepClient, type RunningService } from './support/service.ts';
import { startForSuite } from './support/suite-service.ts';

/** A goal of about 48 KB. */
const LARGE_GOAL = Object.fromEntries(
  ['goalText', 'baseline', 'targetCriteria', 'measurementMethod'].map((name) => [name, '語'.repeat(4000)]),
);

describeOnBoth('a list of documents', (backend) => {
  let service: RunningService;
  let client: IepClient;

  startForSuite(backend, (started) => ({ service, client } = started));

  it('goes by academic year, then version', async () => {
    const studentId = await newStudent(client);
    await newIep(client, await newStudent(client));
    const years = ['2025-2026', '2024-2025', '2025-2026', '2023-2024', '2024-2025'];
    const made = [];
    for (const academicYear of years) {
      made.push(await newIep(client, studentId, academicYear));
    }
    const [a, b, c, d, e] = made;
    expect((await client.listIeps({ studentId })).ieps).toEqual([d, b, e, a, c]);
    expect((await client.listIeps({ studentId, academicYear: '2024-2025' })).ieps).toEqual([b, e]);
    expect((await client.getLatestIep({ studentId, academicYear: '2024-2025' })).iep).toEqual(e);
  });

  it('ends a page early, so that no answer is over 4 MiB', async () => {
    const usual = createClient(
      IEPService,
      createGrpcTransport({ baseUrl: service.grpcUrl, readMaxBytes: 4 * 1024 * 1024 }),
    );
    const studentId = await newStudent(client);
    const sizes = [20, 20, 20, 0, 0, 70, 70, 10, 60, 1, 1];
    for (const count of sizes) {
      const goals = Array.from({ length: count }, () => LARGE_GOAL);
      await client.createIep({ studentId, academicYear: YEAR, goals });
    }
    const pages = [];
    let pageToken = '';
    do {
      const page = await usual.listIeps({ studentId, pageToken });
      pages.push(page.ieps.map(({ version }) => version));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    // A large goal has about 48 KB: 3 MiB hold 65 of them, and a document of 70 has a page of its own.
    expect(pages).toEqual([[1, 2, 3, 4, 5], [6], [7], [8], [9, 10, 11]]);
  });

  it('is whole, page by page, over several reads of the database', async () => {
    const studentId = await newStudent(client);
    const goals = [{ goalText: 'reads' }];
    for (let version = 1; version <= 60; version++) {
      await client.createIep({ studentId, academicYear: YEAR, goals });
    }
    const all = (await client.listIeps({ studentId, pageSize: 60 })).ieps;
    expect(all.map(({ version }) => version)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect(all.every((iep) => iep.goals.length === 1)).toBe(true);
    const { nextPageToken: pageToken } = await client.listIeps({ studentId, pageSize: 24 });
    expect((await client.listIeps({ studentId, pageToken, pageSize: 1000 })).ieps).toEqual(all.slice(24));
  });
});
