/** The same call has the same end over every protocol: answer, error, details and metadata. */
import { randomUUID } from 'node:crypto';
import { toJson } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { beforeAll, expect, it } from 'vitest';
import { IepSchema } from '../src/gen/iep/v1/iep_pb.ts';
import { Disability } from '../src/gen/iep/v1/student_pb.ts';
import { iepIn } from './support/lifecycle.ts';
import { refusalOf } from './support/refusal.ts';
import { describeOnBoth } from './support/databases.ts';
import { newIep, sampleStudent, YEAR } from './support/samples.ts';
import { clientsOf, failureOf, type IepClient, type LogLines, type RunningService } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';

const PROTOCOLS = ['gRPC', 'Connect', 'JSON', 'gRPC-Web'];
const UNKNOWN = '01980000-0000-7000-8000-000000000000';
const USED = randomUUID();
const NUMBER = 'Ünïcode “1” 🦉';

describeOnBoth('protocols', (backend) => {
  let database: TestDatabase;
  let service: RunningService & { log: LogLines };
  let clients: IepClient[];
  let studentId: string;
  let iepId: string;
  let submittedId: string;
  let discardedId: string;

  startForSuite(backend, (started) => ({ database, service } = started));
  beforeAll(async () => {
    const byName = clientsOf(service);
    clients = PROTOCOLS.map((name) => byName[name]!);
    const { student } = await service.client.createStudent({ student: sampleStudent({ studentNumber: NUMBER }) });
    studentId = student!.id;
    iepId = (await newIep(service.client, studentId)).id;
    await service.client.createIep({ studentId, academicYear: YEAR, requestId: USED });
    const incomplete = { content: {}, goals: [{ goalText: 'reads' }] };
    submittedId = (await iepIn(service.client, 'UNDER_REVIEW', incomplete)).id;
    discardedId = (await iepIn(service.client, 'DISCARDED')).id;
  });

  /** Everything that a caller can see of an error. */
  async function failureSeen(call: Promise<unknown>, requestId: string) {
    const { code, rawMessage, details, metadata } = await failureOf(call);
    expect(metadata.get('x-request-id')).toBe(requestId);
    const seen = details.map((detail) =>
      'type' in detail ? [detail.type, Buffer.from(detail.value).toString('hex')] : [],
    );
    return { code: Code[code], rawMessage, details: seen };
  }

  const expectSame = (values: readonly unknown[]) => expect(values).toEqual(values.map(() => values[0]));

  type Call = (client: IepClient, headers: Record<string, string>) => Promise<unknown>;
  const failing: [string, string, Call][] = [
    [
      'a bad field',
      'InvalidArgument INVALID_FIELD',
      (client, headers) =>
        client.createIep({ studentId: 'x', academicYear: '2025–2026', content: { 'ключ"': '\u0000' } }, { headers }),
    ],
    [
      'an unknown student',
      'NotFound STUDENT_NOT_FOUND',
      (client, headers) => client.getStudent({ studentId: UNKNOWN }, { headers }),
    ],
    [
      'an unknown document',
      'NotFound IEP_NOT_FOUND',
      (client, headers) => client.getIep({ iepId: UNKNOWN }, { headers }),
    ],
    [
      'an empty chain',
      'NotFound IEP_NOT_FOUND',
      (client, headers) => client.getLatestIep({ studentId, academicYear: '2030-2031' }, { headers }),
    ],
    [
      'a number that is taken',
      'AlreadyExists STUDENT_NUMBER_TAKEN',
      (client, headers) => client.createStudent({ student: sampleStudent({ studentNumber: NUMBER }) }, { headers }),
    ],
    [
      'a request_id that is used',
      'InvalidArgument REQUEST_ID_REUSED',
      (client, headers) => client.createIep({ studentId, academicYear: '2030-2031', requestId: USED }, { headers }),
    ],
    [
      'another latest version',
      'Aborted VERSION_MISMATCH',
      (client, headers) => client.createIep({ studentId, academicYear: YEAR, expectedLatestVersion: 0 }, { headers }),
    ],
    [
      'a stale etag',
      'Aborted ETAG_MISMATCH',
      (client, headers) =>
        client.updateStudent({ student: { id: studentId, etag: '0', givenName: 'Eve' } }, { headers }),
    ],
    [
      'a stale etag of a document',
      'Aborted ETAG_MISMATCH',
      (client, headers) => client.updateIep({ iep: { id: iepId, etag: '0', content: { a: 1 } } }, { headers }),
    ],
    [
      'a status that does not allow it',
      'FailedPrecondition ILLEGAL_TRANSITION',
      (client, headers) => client.endIep({ iepId, etag: '*', comment: 'moved away' }, { headers }),
    ],
    [
      'a document with gaps',
      'FailedPrecondition APPROVAL_INCOMPLETE',
      (client, headers) => client.approveIep({ iepId: submittedId, etag: '*' }, { headers }),
    ],
    [
      'frozen content',
      'FailedPrecondition CONTENT_FROZEN',
      (client, headers) => client.updateIep({ iep: { id: discardedId, etag: '*', content: { a: 1 } } }, { headers }),
    ],
    [
      'a bad user',
      'InvalidArgument INVALID_FIELD',
      (client, headers) => client.getStudent({ studentId }, { headers: { ...headers, 'x-user-id': 'x'.repeat(201) } }),
    ],
  ];

  it.each(failing)('tell the same about %s', async (_what, expected, call) => {
    const seen = [];
    for (const client of clients) {
      const requestId = randomUUID();
      seen.push(await failureSeen(call(client, { 'x-request-id': requestId }), requestId));
      const { code, reason } = await refusalOf(call(client, {}));
      expect(`${code} ${reason}`).toBe(expected);
    }
    expectSame(seen);
  });

  it('tell the same about a fault of the service, and nothing of its cause', async () => {
    await database.query('alter table goals rename to goals_away');
    try {
      const seen = [];
      for (const client of clients) {
        const requestId = randomUUID();
        const failure = await failureSeen(
          client.getIep({ iepId }, { headers: { 'x-request-id': requestId } }),
          requestId,
        );
        expect(failure.rawMessage).toContain(requestId);
        expect(failure.rawMessage).not.toMatch(/goals|select|relation|table/i);
        seen.push({ ...failure, rawMessage: '' });
        const line = service.log.lines.find((entry) => entry['requestId'] === requestId);
        expect(line).toMatchObject({ rpc: 'GetIep', code: 'Internal', reason: 'INTERNAL' });
      }
      expectSame(seen);
      const refusal = await refusalOf(clients[0]!.getIep({ iepId }));
      expect(refusal).toEqual({ code: 'Internal', reason: 'INTERNAL', committed: 'unknown' });
    } finally {
      await database.query('alter table goals_away rename to goals');
    }
    await expect(clients[0]!.getIep({ iepId })).resolves.toBeDefined();
  });

  it('tell no names in a fault, nor does the log', async () => {
    await database.query('alter table events rename to events_away');
    try {
      for (const client of clients) {
        const student = sampleStudent({ givenName: 'Secret', familyName: 'Secret', studentNumber: 'Secret' });
        const { code, rawMessage } = await failureOf(client.createStudent({ student }));
        expect(Code[code]).toBe('Internal');
        expect(rawMessage).not.toContain('Secret');
      }
    } finally {
      await database.query('alter table events_away rename to events');
    }
    expect(service.log.lines.filter(({ rpc }) => rpc === 'CreateStudent')).not.toEqual([]);
    expect(JSON.stringify(service.log.lines)).not.toContain('Secret');
  });

  it('answer the same', async () => {
    const content = { text: 'ключ 🦉 "\\\n', list: [1, -0.5, true, null, {}, []] };
    const goals = [
      { goalKey: 'a', goalText: 'reads\n', domain: 1, measurementFrequency: 2, startDate: '2025-09-01' },
    ] as const;
    const { iep } = await clients[0]!.createIep({ studentId, academicYear: '2026-2027', content, goals: [...goals] });
    const answers = await Promise.all(
      clients.map(async (client) => ({
        student: await client.getStudent({ studentId }),
        students: await client.listStudents({ studentNumber: NUMBER, gradeLevel: '' }),
        iep: await client.getIep({ iepId: iep!.id }),
        latest: await client.getLatestIep({ studentId, academicYear: '2026-2027' }),
        atPlace: await client.getIep({ studentId, academicYear: '2026-2027', version: 1 }),
        ieps: await client.listIeps({ studentId, pageSize: 2 }),
        district: await client.listIeps({ latestOnly: true, pageSize: 1 }),
        audit: await client.listAuditEvents({ iepId: iep!.id }),
      })),
    );
    expectSame(answers);
    expect(answers[0]?.iep.iep).toEqual(iep);
    expect(toJson(IepSchema, iep!)).toMatchObject({ content, kind: 'IEP_KIND_INITIAL', version: 1 });
    expect(answers[0]?.ieps.ieps).toHaveLength(2);
  });

  it('write the same', async () => {
    const made = [];
    for (const client of clients) {
      const headers = { 'x-user-id': 'Ms. Ng <ng@district>' };
      const fields = { givenName: 'Zoë', familyName: '🦉', birthDate: '2015-01-02', disabilities: [Disability.AUTISM] };
      const students = [sampleStudent(fields), sampleStudent(fields)];
      const batch = await client.batchCreateStudents({ students }, { headers });
      const { id, etag } = batch.students[0]!;
      const { student } = await client.updateStudent(
        { student: { id, etag, gradeLevel: 'K' }, updateMask: { paths: ['grade_level', 'birth_date'] } },
        { headers },
      );
      const { iep } = await client.createIep(
        { studentId: id, academicYear: YEAR, expectedLatestVersion: 0 },
        { headers },
      );
      const events = await database.query(
        'select rpc, actor from events where student_id = ? order by event_time, id',
        id,
      );
      made.push({
        student: { ...student, id: '', studentNumber: '', createTime: '', updateTime: '' },
        iep: { ...iep, id: '', studentId: '', createTime: '', updateTime: '' },
        events: events.map(({ rpc, actor }) => `${String(rpc)} by ${String(actor)}`),
      });
    }
    expectSame(made);
    expect(made[0]).toMatchObject({
      student: { gradeLevel: 'K', birthDate: '', disabilities: [Disability.AUTISM], etag: '2' },
      iep: { version: 1, createdBy: 'Ms. Ng <ng@district>' },
      events: ['BatchCreateStudents', 'UpdateStudent', 'CreateIep'].map((rpc) => `${rpc} by Ms. Ng <ng@district>`),
    });
  });
});
