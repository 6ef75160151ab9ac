/**
 * Marked personal data through every RPC, answered, refused and failed: the marks must come out nowhere but in the
 * resources that the caller may read.
 */
import { randomUUID } from 'node:crypto';
import { create, type DescMessage, type JsonObject, type MessageInitShape, ScalarType } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { MethodOptions_IdempotencyLevel as Idempotency, StructSchema } from '@bufbuild/protobuf/wkt';
import { type CallOptions, ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErrorReason } from '../src/gen/iep/v1/error_reason_pb.ts';
import { IEPService } from '../src/gen/iep/v1/iep_service_pb.ts';
import { expectNoMark, goal, IN_FAULTS, KEY, MARK, person, reasonWithoutMark, said, TEXT } from './support/canary.ts';
import { type Backend, describeOnBoth, expectInvariants, sqlite } from './support/databases.ts';
import { as, COMPLETE, iepIn } from './support/lifecycle.ts';
import { YEAR } from './support/samples.ts';
import {
  clientsOf,
  failureOf,
  type IepClient,
  type ServiceProcess,
  startInProcess,
  startProcess,
} from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { watchFromNow } from './support/watching.ts';
import { binarySenders, jsonSender } from './support/wire.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';

type Rpc = keyof typeof IEPService.method;
const RPCS = Object.keys(IEPService.method) as Rpc[];
const methodOf = (rpc: Rpc) => IEPService.method[rpc];

/** How a call is to end: OK or a reason; what it sends; by whom. */
type Case = readonly [end: string, request: object, user?: string];

const approver = 'approver';

async function personIn(client: IepClient, over: object = {}) {
  return (await client.createStudent({ student: person(over) })).student!;
}

async function documentIn(client: IepClient, status: string, over: object = {}) {
  const { id: studentId } = await personIn(client);
  return iepIn(client, status, { studentId, ...said, ...over });
}

/** What each RPC is sent. The first case succeeds, once; `used` is a request_id to be used with two payloads. */
const CASES: Record<Rpc, (client: IepClient, used: string) => Promise<readonly Case[]>> = {
  async createStudent(client, used) {
    const { studentNumber } = await personIn(client);
    await client.createStudent({ student: person(), requestId: used });
    return [
      ['OK', { student: person(), requestId: randomUUID() }],
      ['STUDENT_NUMBER_TAKEN', { student: person({ studentNumber }) }],
      ['REQUEST_ID_REUSED', { student: person(), requestId: used }],
      ['INVALID_FIELD', { student: person({ givenName: MARK.repeat(50), birthDate: '2313-07-19' }) }],
    ];
  },
  async batchCreateStudents(client, used) {
    const { studentNumber } = await personIn(client);
    await client.batchCreateStudents({ students: [person()], requestId: used });
    const twice = person();
    return [
      ['OK', { students: [person(), person()] }],
      ['STUDENT_NUMBER_TAKEN', { students: [person(), person({ studentNumber })] }],
      ['REQUEST_ID_REUSED', { students: [person()], requestId: used }],
      ['INVALID_FIELD', { students: [twice, twice] }],
    ];
  },
  async getStudent(client) {
    const { id } = await personIn(client);
    return [
      ['OK', { studentId: id }],
      ['STUDENT_NOT_FOUND', { studentId: UNKNOWN }],
    ];
  },
  async listStudents(client) {
    await personIn(client);
    await personIn(client);
    const { nextPageToken: pageToken } = await client.listStudents({ familyNamePrefix: MARK, pageSize: 1 });
    return [
      ['OK', { familyNamePrefix: MARK, pageToken }],
      ['INVALID_FIELD', { familyNamePrefix: `${MARK}x`, pageToken }],
    ];
  },
  async updateStudent(client, used) {
    const { id } = await personIn(client);
    const { studentNumber } = await personIn(client);
    await client.updateStudent({ student: { id, etag: '*', givenName: TEXT.slice(0, 5) }, requestId: used });
    const student = { ...person(), id, etag: '*' };
    return [
      ['OK', { student }],
      ['ETAG_MISMATCH', { student: { ...student, etag: '1' } }],
      ['STUDENT_NUMBER_TAKEN', { student: { ...student, studentNumber } }],
      ['STUDENT_NOT_FOUND', { student: { ...student, id: UNKNOWN } }],
      ['REQUEST_ID_REUSED', { student, requestId: used }],
    ];
  },
  async createIep(client, used) {
    const draft = await documentIn(client, 'DRAFT');
    const { studentId, id: basedOnIepId } = draft;
    const request = { ...COMPLETE, ...said, studentId, academicYear: YEAR };
    await client.createIep({ ...request, content: {}, requestId: used });
    return [
      ['OK', request],
      ['STUDENT_NOT_FOUND', { ...request, studentId: UNKNOWN }],
      ['VERSION_MISMATCH', { ...request, expectedLatestVersion: 0 }],
      ['BASE_NOT_FINAL', { ...request, kind: 4, reviewDate: '', basedOnIepId }],
      ['IEP_NOT_FOUND', { ...request, basedOnIepId: UNKNOWN }],
      ['REQUEST_ID_REUSED', { ...request, requestId: used }],
      ['INVALID_FIELD', { ...request, content: { [KEY]: MARK.repeat(50_000) } }],
      ['INVALID_FIELD', { ...request, content: nested(17) }],
      ['INVALID_FIELD', { ...request, goals: [goal, goal], academicYear: MARK }],
    ];
  },
  async getIep(client) {
    const { id, studentId } = await documentIn(client, 'ACTIVE');
    return [
      ['OK', { iepId: id }],
      ['IEP_NOT_FOUND', { iepId: UNKNOWN }],
      ['IEP_NOT_FOUND', { studentId, academicYear: YEAR, version: 9 }],
    ];
  },
  async getLatestIep(client) {
    const { studentId } = await documentIn(client, 'DRAFT');
    return [
      ['OK', { studentId, academicYear: YEAR }],
      ['IEP_NOT_FOUND', { studentId, academicYear: '2030-2031' }],
      ['STUDENT_NOT_FOUND', { studentId: UNKNOWN, academicYear: YEAR }],
    ];
  },
  async listIeps(client) {
    const { studentId } = await documentIn(client, 'SUPERSEDED');
    const { nextPageToken: pageToken } = await client.listIeps({ studentId, pageSize: 1 });
    return [
      ['OK', { studentId, pageToken }],
      ['INVALID_FIELD', { pageToken }],
      ['STUDENT_NOT_FOUND', { studentId: UNKNOWN }],
    ];
  },
  async updateIep(client, used) {
    const { id } = await documentIn(client, 'DRAFT');
    const iep = { id, etag: '*', ...said, content: { [KEY]: `${MARK}2` } };
    await client.updateIep({ iep: { ...iep, content: { [KEY]: 1 } }, requestId: used });
    const inStatus = async (status: string) => ({ iep: { ...iep, id: (await documentIn(client, status)).id } });
    return [
      ['OK', { iep }],
      ['ETAG_MISMATCH', { iep: { ...iep, etag: '1' } }],
      ['CONTENT_FROZEN', await inStatus('ACTIVE')],
      ['ILLEGAL_TRANSITION', await inStatus('UNDER_REVIEW')],
      ['IEP_NOT_FOUND', { iep: { ...iep, id: UNKNOWN } }],
      ['REQUEST_ID_REUSED', { iep, requestId: used }],
    ];
  },
  async submitIep(client) {
    const empty = await documentIn(client, 'DRAFT', { content: {}, goals: [] });
    return [...(await moving(client, 'DRAFT', 'ACTIVE')), ['SUBMISSION_EMPTY', moved(empty.id)]];
  },
  returnIep: (client) => moving(client, 'UNDER_REVIEW', 'DRAFT'),
  async approveIep(client) {
    const gaps = await documentIn(client, 'UNDER_REVIEW', { goals: [{ goalText: TEXT }] });
    const own = await documentIn(client, 'UNDER_REVIEW');
    return [
      ...(await moving(client, 'UNDER_REVIEW', 'DRAFT')),
      ['APPROVAL_INCOMPLETE', moved(gaps.id), approver],
      ['APPROVER_IS_AUTHOR', moved(own.id), 'teacher'],
    ];
  },
  async activateIep(client) {
    const later = await documentIn(client, 'APPROVED', { effectiveDate: '2190-01-01', reviewDate: '2190-12-31' });
    return [...(await moving(client, 'APPROVED', 'DRAFT')), ['NOT_YET_EFFECTIVE', moved(later.id)]];
  },
  endIep: (client) => moving(client, 'ACTIVE', 'DRAFT'),
  discardIep: (client) => moving(client, 'APPROVED', 'ACTIVE'),
  async compareIeps(client) {
    const { id, studentId } = await documentIn(client, 'DRAFT');
    const other = await iepIn(client, 'DRAFT', { studentId, content: { [KEY]: `${MARK}2` } });
    const stranger = await documentIn(client, 'DRAFT');
    return [
      ['OK', { fromIepId: id, toIepId: other.id }],
      ['INVALID_FIELD', { fromIepId: id, toIepId: stranger.id }],
      ['IEP_NOT_FOUND', { fromIepId: id, toIepId: UNKNOWN }],
    ];
  },
  async recordGoalProgress(client, used) {
    const { id: iepId } = await documentIn(client, 'ACTIVE');
    const { id: discarded } = await documentIn(client, 'DISCARDED');
    const request = { iepId, goalKey: goal.goalKey, note: TEXT };
    await client.recordGoalProgress({ ...request, note: 'x', requestId: used });
    return [
      ['OK', request],
      ['GOAL_NOT_FOUND', { ...request, goalKey: 'other' }],
      ['IEP_NOT_FOUND', { ...request, iepId: UNKNOWN }],
      ['CONTENT_FROZEN', { ...request, iepId: discarded }],
      ['REQUEST_ID_REUSED', { ...request, requestId: used }],
      ['INVALID_FIELD', { ...request, note: TEXT.repeat(500) }],
    ];
  },
  async listAuditEvents(client) {
    const { studentId } = await documentIn(client, 'SUPERSEDED');
    return [
      ['OK', { studentId }],
      ['STUDENT_NOT_FOUND', { studentId: UNKNOWN }],
      ['IEP_NOT_FOUND', { iepId: UNKNOWN }],
    ];
  },
  async watchIeps(client) {
    const before = await watchFromNow(client);
    await before.cancel();
    await documentIn(client, 'SUPERSEDED');
    return [
      ['OK', { resumeToken: before.token }],
      ['WATCH_TOKEN_UNKNOWN', { resumeToken: await tokenOfAnotherDatabase() }],
      ['STUDENT_NOT_FOUND', { studentId: UNKNOWN }],
    ];
  },
};

const moved = (iepId: string) => ({ iepId, etag: '*', comment: TEXT });

/** Cases of a change of status that this status allows, and the other one does not. */
async function moving(client: IepClient, allowed: string, other: string): Promise<Case[]> {
  const { id, etag } = await documentIn(client, allowed);
  const { id: elsewhere } = await documentIn(client, other);
  return [
    ['OK', moved(id), approver],
    ['ETAG_MISMATCH', { ...moved((await documentIn(client, allowed)).id), etag: `${Number(etag) + 5}` }, approver],
    ['ILLEGAL_TRANSITION', moved(elsewhere), approver],
    ['IEP_NOT_FOUND', moved(UNKNOWN), approver],
    ['INVALID_FIELD', { ...moved(id), comment: TEXT.repeat(500) }, approver],
  ];
}

function nested(depth: number): JsonObject {
  return depth === 0 ? { [KEY]: MARK } : { [KEY]: nested(depth - 1) };
}

async function tokenOfAnotherDatabase(): Promise<string> {
  const database = await sqlite.create();
  const service = await startInProcess(database.url);
  const { token, cancel } = await watchFromNow(service.client);
  await cancel();
  await service.stop();
  await database.drop();
  return token;
}

/** A request with a mark in every text that it can hold, all of them wrong. */
function poisoned<Desc extends DescMessage>(schema: Desc): MessageInitShape<Desc> {
  const message = reflect(schema, create(schema));
  for (const field of schema.fields) {
    const bad = `${MARK}\u0000`;
    if (field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING) {
      message.set(field, bad);
    } else if (field.fieldKind === 'list' && field.listKind === 'message') {
      message.get(field).add(reflect(field.message, poisoned(field.message) as never));
    } else if (field.fieldKind === 'message' && field.message.typeName === StructSchema.typeName) {
      Reflect.set(message.message, field.localName, { [KEY]: bad });
    } else if (field.fieldKind === 'message' && !field.message.typeName.startsWith('google.')) {
      message.set(field, reflect(field.message, poisoned(field.message) as never));
    }
  }
  return message.message as MessageInitShape<Desc>;
}

describeOnBoth('personal data', (backend) => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let clients: IepClient[];
  let output = '';
  const reasons = new Set(['MALFORMED_REQUEST']);
  /** Requests that would succeed: for the faults. */
  const sound = new Map<Rpc, Case>();

  beforeAll(async () => {
    database = await backend.create();
    service = await startProcess(database.url, { LOG_LEVEL: 'trace' });
    [service.process.stdout!, service.process.stderr!].forEach((stream) =>
      stream.on('data', (chunk: Buffer) => (output += chunk.toString())),
    );
    clients = Object.values(clientsOf(service));
  });
  afterAll(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  /** Calls, and answers how it ended; looks at all that came back but the resources. */
  async function endOf(rpc: Rpc, client: IepClient, [, request, user]: Case, headers = {}): Promise<string> {
    const seen: unknown[] = [];
    const keep = (received: Headers) => seen.push(...received);
    const options = { headers: { ...as(user ?? 'teacher').headers, ...headers }, onHeader: keep, onTrailer: keep };
    try {
      seen.push(await openParts(rpc, client, request, options));
      expectNoMark(seen);
      return 'OK';
    } catch (thrown) {
      expectNoMark(seen);
      return reasonWithoutMark(ConnectError.from(thrown));
    }
  }

  it('has a case for every RPC', () => {
    expect(RPCS.toSorted()).toEqual(Object.keys(CASES).toSorted());
  });

  it.each(RPCS)('is in nothing but the resources of %s', async (rpc) => {
    const cases = await CASES[rpc](service.client, randomUUID());
    const [first, ...refused] = cases;
    for (const client of clients) {
      for (const each of refused) {
        expect(await endOf(rpc, client, each)).toBe(each[0]);
        reasons.add(each[0]);
      }
    }
    expect(first![0]).toBe('OK');
    expect(await endOf(rpc, service.client, first!)).toBe('OK');
    const [next] = await CASES[rpc](service.client, randomUUID());
    sound.set(rpc, next!);
  });

  it.each(RPCS)('is in no refusal of a %s in which all is wrong', async (rpc) => {
    for (const client of clients) {
      const request = poisoned(methodOf(rpc).input) as object;
      expect(await endOf(rpc, client, ['', request])).toBe('INVALID_FIELD');
    }
  });

  // Of a stream, test/watch-malformed.test.ts shows that it is refused in the same way.
  const unary = Object.values(IEPService.method).filter((method) => method.methodKind === 'unary');
  it.each(unary)('is in no refusal of a $name that cannot be read', async (method) => {
    const broken = [`{"${MARK}`, `{"x":"${MARK}"}`, `{"studentId":["${MARK}"]}`, MARK].map((text) => Buffer.from(text));
    for (const send of [...Object.values(binarySenders(service)), jsonSender(service)]) {
      for (const message of broken) {
        expect(reasonWithoutMark(await failureOf(send(method, message)))).toBe('MALFORMED_REQUEST');
      }
    }
  });

  describe('in a fault', () => {
    const writing = RPCS.filter((rpc) => methodOf(rpc).idempotency !== Idempotency.NO_SIDE_EFFECTS);
    const endsOf = async (rpcs: readonly Rpc[], headers = {}) => {
      const ends = [];
      for (const rpc of rpcs) {
        ends.push(`${rpc} ${await endOf(rpc, service.client, sound.get(rpc)!, headers)}`);
      }
      return ends;
    };

    it('of a database that tells what it was given', async () => {
      const restore = await refuseRows(database, backend);
      try {
        expect(await endsOf(writing)).toEqual(writing.map((rpc) => `${rpc} INTERNAL`));
      } finally {
        await restore();
      }
      reasons.add('INTERNAL');
    });

    it('of a database without tables', async () => {
      const tables = ['students', 'ieps', 'goals', 'events', 'progress_notes'];
      for (const table of tables) {
        await database.query(`alter table ${table} rename to ${table}_away`);
      }
      try {
        expect(await endsOf(RPCS)).toEqual(RPCS.map((rpc) => `${rpc} INTERNAL`));
      } finally {
        for (const table of tables) {
          await database.query(`alter table ${table}_away rename to ${table}`);
        }
      }
    });

    it('of a database that is locked', async () => {
      await database.query(backend.name === 'SQLite' ? 'begin immediate' : 'begin');
      try {
        if (backend.name === 'PostgreSQL') {
          await database.query('lock table events in exclusive mode');
        }
        const deadline = { 'grpc-timeout': '300m' };
        expect(await endsOf(writing, deadline)).toEqual(writing.map((rpc) => `${rpc} NOT_EXECUTED`));
      } finally {
        await database.query('rollback');
      }
      reasons.add('NOT_EXECUTED');
    });
  });

  it('was in errors of every reason', () => {
    expect([...reasons, ...IN_FAULTS, 'UNSPECIFIED'].toSorted()).toEqual(
      Object.keys(ErrorReason)
        .filter((name) => Number.isNaN(Number(name)))
        .toSorted(),
    );
  });

  it('is in no event, whatever was said', async () => {
    const events = await database.query('select * from events');
    expect(events.length).toBeGreaterThan(100);
    expectNoMark(events);
    const { events: told } = await service.client.listAuditEvents({
      studentId: events.find(({ rpc }) => rpc === 'UpdateIep')!['student_id'] as string,
    });
    expectNoMark(told);
  });

  it('is in no line of the log, and nothing else that the process prints', async () => {
    for (const rpc of RPCS) {
      const { name } = methodOf(rpc);
      await expect.poll(() => output, { message: name }).toContain(`"rpc":"${name}"`);
    }
    expectNoMark(output.split('\n'));
  });
});

/** What an answer holds besides resources. */
async function openParts(rpc: Rpc, client: IepClient, request: object, options: CallOptions): Promise<unknown> {
  if (rpc !== 'watchIeps') {
    const answer = await (client[rpc] as (message: object, options: CallOptions) => Promise<object>)(request, options);
    return Object.entries(answer).filter(
      ([name]) => !['student', 'students', 'iep', 'ieps', 'goal', 'changes'].includes(name),
    );
  }
  const parts: unknown[] = [];
  const canceller = new AbortController();
  try {
    for await (const { resumeToken, payload } of client.watchIeps(request, { ...options, signal: canceller.signal })) {
      parts.push([resumeToken, Buffer.from(resumeToken, 'base64url').toString(), { ...payload.value, iep: undefined }]);
      if (parts.length === 3) {
        break;
      }
    }
  } finally {
    canceller.abort();
  }
  return parts;
}

/** Has the database refuse every row that is written, and say it with what the row holds. */
async function refuseRows(database: TestDatabase, backend: Backend): Promise<() => Promise<void>> {
  const columns = {
    students: 'given_name',
    ieps: 'content',
    goals: 'goal_text',
    events: 'changed_paths',
    progress_notes: 'note',
    event_comments: 'comment',
  };
  const inSqlite = backend.name === 'SQLite';
  if (!inSqlite) {
    await database.query(`create function tell_row() returns trigger language plpgsql as $$
      begin raise exception '%', new::text; end $$`);
  }
  for (const [table, column] of Object.entries(columns)) {
    for (const event of ['insert', 'update']) {
      await database.query(
        `create trigger tell_${table}_${event} before ${event} on ${table} for each row ${
          inSqlite ? `begin select raise(abort, new.${column}); end` : 'execute function tell_row()'
        }`,
      );
    }
  }
  return async () => {
    for (const table of Object.keys(columns)) {
      for (const event of ['insert', 'update']) {
        await database.query(`drop trigger tell_${table}_${event}${inSqlite ? '' : ` on ${table}`}`);
      }
    }
    if (!inSqlite) {
      await database.query('drop function tell_row()');
    }
  };
}
