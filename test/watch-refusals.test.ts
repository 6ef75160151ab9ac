/** Watches that are refused, over every protocol, and what resume tokens are bound to. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Backend, describeOnBoth } from './support/databases.ts';
import { describeRefusals, invalid, notFound, refusalOf } from './support/refusal.ts';
import { newIep, newStudent } from './support/samples.ts';
import { clientsOf, type IepClient, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { toldOf, watch, watchFromNow } from './support/watching.ts';

const UNKNOWN = '01980000-0000-7000-8000-000000000000';
const tokenUnknown = { code: 'OutOfRange', reason: 'WATCH_TOKEN_UNKNOWN', committed: 'no' };

type Request = Parameters<IepClient['watchIeps']>[0];

/** How a watch ends that must be refused before its first message. */
async function refused(client: IepClient, request: Request) {
  const watching = watch(client, request);
  const refusal = await refusalOf(watching.ended.then((error) => Promise.reject(error!)));
  expect(watching.messages).toEqual([]);
  return refusal;
}

const duration = (seconds: number) => ({
  seconds: BigInt(Math.floor(seconds)),
  nanos: Math.round((seconds % 1) * 1e9),
});

describeRefusals('a watch is refused', (fixture) => {
  const everywhere = (request: Request) =>
    Promise.all(Object.values(clientsOf(fixture.service)).map((client) => refused(client, request)));
  const alike = (refusal: object) => Object.keys(clientsOf(fixture.service)).map(() => refusal);

  it('of an unknown student', async () => {
    expect(await everywhere({ studentId: UNKNOWN })).toEqual(alike(notFound('Student', UNKNOWN)));
  });

  it('with every bad field at once', async () => {
    const request = { studentId: 'x', resumeToken: 'x', heartbeatInterval: duration(0.01) };
    const refusal = invalid('student_id', 'resume_token', 'heartbeat_interval');
    expect(await everywhere(request)).toEqual(alike(refusal));
  });

  it.each([0, 0.099, -1, 300.1, 1e12])('with a heartbeat every %f s', async (seconds) => {
    expect(await refused(fixture.client, { heartbeatInterval: duration(seconds) })).toEqual(
      invalid('heartbeat_interval'),
    );
  });

  it.each([0.1, 10, 300])('but not with a heartbeat every %f s', async (seconds) => {
    const watching = await watchFromNow(fixture.client, { heartbeatInterval: duration(seconds) });
    expect(watching.messages[0]?.payload.case).toBe('heartbeat');
    await watching.cancel();
  });

  it('with a token that is none', async () => {
    const { token, cancel } = await watchFromNow(fixture.client);
    await cancel();
    const bytes = Buffer.from(token, 'base64url');
    const turned = Array.from(bytes, (byte, index) => bytes.with(index, byte ^ 1));
    const shorter = [bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])];
    const tokens = [...turned, ...shorter].map((other) => Buffer.from(other).toString('base64url'));
    for (const resumeToken of [...tokens, `${token}=`, `${token} `, '🦉', 'x'.repeat(100_000)]) {
      expect(await refused(fixture.client, { resumeToken })).toEqual(invalid('resume_token'));
    }
  });

  it('with the token of another student', async () => {
    const { client, student } = fixture;
    const ofStudent = await watchFromNow(client, { studentId: student.id });
    const ofAll = await watchFromNow(client);
    await Promise.all([ofStudent.cancel(), ofAll.cancel()]);
    const refusals = alike(invalid('resume_token'));
    expect(await everywhere({ resumeToken: ofStudent.token })).toEqual(refusals);
    expect(await everywhere({ studentId: student.id, resumeToken: ofAll.token })).toEqual(refusals);
  });
});

describeOnBoth('a resume token', (backend: Backend) => {
  let databases: TestDatabase[];
  let services: RunningService[];

  beforeAll(async () => {
    databases = await Promise.all([backend.create(), backend.create()]);
    services = await Promise.all(databases.map(({ url }) => startInProcess(url)));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await Promise.all(databases.map((database) => database.drop()));
  });

  it('is of one database, even where nothing was there yet', async () => {
    const [one, other] = services.map(({ client }) => client);
    const before = await watchFromNow(one!);
    await before.cancel();
    await newIep(one!, await newStudent(one!));
    await newIep(other!, await newStudent(other!));
    const after = await watchFromNow(one!);
    await after.cancel();
    for (const client of Object.values(clientsOf(services[1]!))) {
      expect(await refused(client, { resumeToken: before.token })).toEqual(tokenUnknown);
      expect(await refused(client, { resumeToken: after.token })).toEqual(tokenUnknown);
    }
    const resumed = watch(one!, { resumeToken: before.token });
    await toldOf(resumed, 1);
    await resumed.cancel();
  });

  it('is unknown when a backup was restored that has not its event', async () => {
    const { client } = services[0]!;
    const studentId = await newStudent(client);
    const before = await watchFromNow(client);
    const { id } = await newIep(client, studentId);
    await toldOf(before, 1);
    await before.cancel();
    await forgetEvents(databases[0]!, backend, id);
    expect(await refused(client, { resumeToken: before.token })).toEqual(tokenUnknown);
    await (await watchFromNow(client, { studentId })).cancel();
    const earlier = watch(client, { resumeToken: before.messages[0]!.resumeToken });
    await newIep(client, await newStudent(client));
    await toldOf(earlier, 1);
    await earlier.cancel();
  });
});

/** As if the events of a version had been recorded after the backup was made. */
async function forgetEvents(database: TestDatabase, backend: Backend, iepId: string): Promise<void> {
  const [disable, enable] =
    backend.name === 'PostgreSQL'
      ? ['alter table events disable trigger user', 'alter table events enable trigger user']
      : ['drop trigger events_append_only_delete', 'select 1'];
  await database.query(disable);
  await database.query('delete from events where iep_id = ?', iepId);
  await database.query(enable);
}
