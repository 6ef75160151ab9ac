/** Who did what to a student and an IEP, and when. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { AuditEvent } from '../src/gen/iep/v1/audit_pb.ts';
import { describeOnBoth, postgresql } from './support/databases.ts';
import { invalid, notFound, refusalOf, refusalsOf } from './support/refusal.ts';
import { newIep, newStudent, sampleStudent, YEAR } from './support/samples.ts';
import { type IepClient, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';

/** Events past the service, one behind the other. */
async function addEvents(database: TestDatabase, studentId: string, count: number, paths: string[]): Promise<void> {
  const now = database.url.startsWith('sqlite:') ? Date.now() : new Date();
  for (let index = 0; index < count; index++) {
    await database.query(
      `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, row_version, changed_paths)
       values ('default', ?, 'UpdateStudent', 0, 'x', ?, ?, 1, ?)`,
      randomUUID(),
      now,
      studentId,
      JSON.stringify(paths),
    );
  }
}

/** All pages of a student's events. */
async function walk(
  client: IepClient,
  studentId: string,
  sizes: readonly number[],
  between: () => Promise<unknown> = async () => undefined,
) {
  const pages: AuditEvent[][] = [];
  let pageToken = '';
  do {
    const pageSize = sizes[pages.length % sizes.length]!;
    const page = await client.listAuditEvents({ studentId, pageToken, pageSize });
    pages.push(page.events);
    pageToken = page.nextPageToken;
    await between();
  } while (pageToken !== '');
  return pages;
}

describeOnBoth('the audit', (backend) => {
  let database: TestDatabase;
  let client: IepClient;

  startForSuite(backend, (started) => ({ database, client } = started));

  const events = async (request: Parameters<IepClient['listAuditEvents']>[0]) =>
    (await client.listAuditEvents(request)).events;
  /** An event shows as soon as nothing older is under way on the whole server, autovacuum's work included. */
  const settled = (studentId: string, count: number) =>
    expect.poll(() => events({ studentId, pageSize: 1000 })).toHaveLength(count);

  it('tells who changed what, oldest first, and no values', async () => {
    const as = (user: string) => ({ headers: { 'x-user-id': user } });
    const secret = { givenName: 'Secretgiven', familyName: 'Secretfamily', birthDate: '2015-06-07', gradeLevel: 'K' };
    const { student } = await client.createStudent({ student: sampleStudent(secret) }, as('registrar'));
    const studentId = student!.id;
    const goals = [{ goalKey: 'reading', goalText: 'Secretgoal' }];
    const make = (academicYear: string, user: string) =>
      client.createIep({ studentId, academicYear, goals, content: { note: 'Secretnote' } }, as(user));
    const first = (await make(YEAR, 'teacher')).iep!;
    await client.updateStudent(
      { student: { id: studentId, etag: '*', givenName: 'Secretother', birthDate: '2014-01-02' } },
      as('clerk'),
    );
    const second = (await make('2026-2027', 'teacher')).iep!;
    await newIep(client, await newStudent(client));

    await settled(studentId, 4);
    const all = await events({ studentId });
    expect(all).toMatchObject([
      { actor: 'registrar', action: 'CreateStudent', studentId, iepId: '', changedPaths: [], contentSha256: '' },
      { actor: 'teacher', action: 'CreateIep', studentId, iepId: first.id, eventTime: first.createTime },
      { actor: 'clerk', action: 'UpdateStudent', studentId, iepId: '', changedPaths: ['given_name', 'birth_date'] },
      { actor: 'teacher', action: 'CreateIep', studentId, iepId: second.id, eventTime: second.createTime },
    ]);
    expect(await events({ iepId: second.id })).toEqual([all[3]]);
    expect(await events({ iepId: first.id.toUpperCase() })).toEqual([all[1]]);
    const text = JSON.stringify(await database.query('select * from events where student_id = ?', studentId));
    expect(text).not.toMatch(/secret|2015-06-07|2014-01-02/i);
  });

  it('has the hash of an approved document', async () => {
    const { id: iepId, studentId } = await newIep(client, await newStudent(client));
    await database.query(
      `insert into events (district_id, id, rpc, request_index, actor, event_time, student_id, iep_id, row_version,
        changed_paths, content_sha256)
       select district_id, ?, 'ApproveIep', 0, 'x', create_time, student_id, id, 2, '["status"]', ? from ieps where id = ?`,
      randomUUID(),
      'a'.repeat(64),
      iepId,
    );
    await settled(studentId, 3);
    expect((await events({ iepId }))[1]).toMatchObject({ changedPaths: ['status'], contentSha256: 'a'.repeat(64) });
  });

  it('is read whole in pages of any size, while more happens', async () => {
    const studentId = await newStudent(client);
    const ieps = await Promise.all(Array.from({ length: 240 }, () => newIep(client, studentId)));
    await settled(studentId, 241);
    const before = await events({ studentId, pageSize: 1000 });
    const versions = before.slice(1).map(({ iepId }) => ieps.find(({ id }) => id === iepId)?.version);
    expect(versions).toEqual(ieps.map((_, index) => index + 1));
    for (const sizes of [[1000], [100], [1, 7, 99, 101]]) {
      const pages = await walk(client, studentId, sizes, () => newIep(client, studentId));
      const found = pages.flat();
      expect(found.slice(0, before.length)).toEqual(before);
      expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
    }
  });

  it('ends a page at 3 MiB', async () => {
    const studentId = await newStudent(client);
    const path = `goals.${'x'.repeat(64)}.measurement_frequency`;
    const paths = Array.from({ length: 1000 }, (_, index) => `${path}${index}`);
    await addEvents(database, studentId, 70, paths);
    const sizes = async () => (await walk(client, studentId, [1000])).map(({ length }) => length);
    // Each has about 97 KB, 32 of them fill a page; the creation, which comes first, is small.
    await expect.poll(sizes).toEqual([33, 32, 6]);
  });

  it('is refused for nothing, for both and for what there is not', async () => {
    const studentId = await newStudent(client);
    const { id: iepId } = await newIep(client, studentId);
    const refusals = await refusalsOf([
      client.listAuditEvents({}),
      client.listAuditEvents({ studentId, iepId }),
      client.listAuditEvents({ studentId: 'x' }),
      client.listAuditEvents({ iepId: 'x' }),
      client.listAuditEvents({ studentId: UNKNOWN }),
      client.listAuditEvents({ iepId: UNKNOWN }),
      client.listAuditEvents({ studentId: iepId }),
      client.listAuditEvents({ iepId: studentId }),
    ]);
    expect(refusals).toEqual([
      invalid('student_id'),
      invalid('iep_id'),
      invalid('student_id'),
      invalid('iep_id'),
      notFound('Student', UNKNOWN),
      notFound('Iep', UNKNOWN),
      notFound('Student', iepId),
      notFound('Iep', studentId),
    ]);
    const { fields } = await refusalOf(client.listAuditEvents({ iepId: 'x', pageSize: -1, pageToken: 'x' }));
    expect(fields?.toSorted()).toEqual(['iep_id', 'page_size', 'page_token']);
  });

  it('binds a token to its student or IEP, not to the page size', async () => {
    const studentId = await newStudent(client);
    const { id: iepId } = await newIep(client, studentId);
    const other = await newStudent(client);
    await settled(studentId, 2);
    const { nextPageToken: pageToken } = await client.listAuditEvents({ studentId, pageSize: 1 });
    expect((await client.listAuditEvents({ studentId, pageToken, pageSize: 9 })).events).toMatchObject([{ iepId }]);
    const iepsToken = (await client.listIeps({ pageSize: 1 })).nextPageToken;
    const flipped = Buffer.from(pageToken, 'base64url').fill(7, 0, 1).toString('base64url');
    const refusals = await refusalsOf([
      client.listAuditEvents({ iepId, pageToken }),
      client.listAuditEvents({ studentId: other, pageToken }),
      client.listAuditEvents({ studentId, pageToken: iepsToken }),
      client.listAuditEvents({ studentId, pageToken: flipped }),
    ]);
    expect(refusals).toEqual(refusals.map(() => invalid('page_token')));
  });
});

describe('the audit on PostgreSQL', () => {
  it('waits for a change that began earlier and is committed later', async () => {
    const database = await postgresql.create();
    const service = await startInProcess(database.url);
    const { client } = service;
    const actions = async (studentId: string) =>
      (await walk(client, studentId, [1])).flat().map(({ action }) => action);
    try {
      const studentId = await newStudent(client);
      await expect.poll(() => actions(studentId)).toEqual(['CreateStudent']);
      await database.query('begin');
      await addEvents(database, studentId, 1, ['late']);
      await newIep(client, studentId);
      // Had it come into the list before, the late one would have slipped in behind a page that was read.
      expect(await actions(studentId)).toEqual(['CreateStudent']);
      await database.query('commit');
      await expect.poll(() => actions(studentId)).toEqual(['CreateStudent', 'UpdateStudent', 'CreateIep']);
    } finally {
      await service.stop();
      await database.drop();
    }
  });
});
