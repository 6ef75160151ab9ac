/** Marked personal data in calls that fail for a reason of the service's own: see test/canary.test.ts. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { expectNoMark, IN_FAULTS, person, reasonWithoutMark, said } from './support/canary.ts';
import { type CommitProxy, openCommitProxy } from './support/commit-proxy.ts';
import { expectInvariants, postgresql } from './support/databases.ts';
import { COMPLETE } from './support/lifecycle.ts';
import { occupy } from './support/occupy.ts';
import { YEAR } from './support/samples.ts';
import { failureOf, type ServiceProcess, startProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { toldOf, watchFromNow } from './support/watching.ts';

describe('personal data, where the service or its database gives way', () => {
  let database: TestDatabase;
  let proxy: CommitProxy;
  let service: ServiceProcess;
  let studentId: string;
  let output = '';

  beforeAll(async () => {
    database = await postgresql.create();
    proxy = await openCommitProxy(database.url);
    service = await start(proxy.url);
    studentId = (await service.client.createStudent({ student: person() })).student!.id;
  });
  afterAll(async () => {
    await service.stop();
    proxy.close();
    await expectInvariants(database);
    await database.drop();
  });

  async function start(url: string): Promise<ServiceProcess> {
    const started = await startProcess(url, { LOG_LEVEL: 'trace' });
    [started.process.stdout!, started.process.stderr!].forEach((stream) =>
      stream.on('data', (chunk: Buffer) => (output += chunk.toString())),
    );
    return started;
  }

  const create = (timeoutMs: number) =>
    service.client.createIep(
      { ...COMPLETE, ...said, studentId, academicYear: YEAR },
      // A client that counts by itself would not wait for the answer.
      { headers: { 'grpc-timeout': `${timeoutMs}m` } },
    );
  const refusal = async (timeoutMs: number) => reasonWithoutMark(await failureOf(create(timeoutMs)));

  /** How a service is brought to each; answers the reason that it gave. */
  const FAULTS: Record<(typeof IN_FAULTS)[number], () => Promise<string>> = {
    async VERSION_CONTENTION() {
      await database.query(`create function tell_row() returns trigger language plpgsql as
        $$ begin raise exception '%', new::text using errcode = '40001'; end $$`);
      await database.query('create trigger tell before insert on ieps for each row execute function tell_row()');
      const reason = await refusal(50_000);
      await database.query('drop trigger tell on ieps');
      return reason;
    },
    async OVERLOADED() {
      const release = await occupy(database, studentId);
      const waiting = [create(20_000)];
      await vi.waitUntil(async () => (await database.query('select 1 from pg_locks where not granted')).length === 1);
      waiting.push(create(20_000));
      // Once the one before it has waited for half of the time that it has.
      await vi.waitUntil(async () => (await refusal(300)) === 'OVERLOADED', { timeout: 10_000 });
      await release();
      await Promise.all(waiting);
      return 'OVERLOADED';
    },
    async OUTCOME_UNKNOWN() {
      // The service is no longer overloaded.
      await vi.waitUntil(() =>
        create(500).then(
          () => true,
          () => false,
        ),
      );
      proxy.loseAnswer('silence');
      const reason = await refusal(500);
      proxy.endConnections();
      return reason;
    },
    async DRAINING() {
      const other = await start(database.url);
      const watching = await watchFromNow(other.client);
      await create(20_000);
      await toldOf(watching, 1);
      await other.stop();
      return reasonWithoutMark((await watching.ended)!);
    },
    async DATABASE_UNAVAILABLE() {
      proxy.close();
      return refusal(20_000);
    },
  };

  it.each(IN_FAULTS)('is in no error %s', async (reason) => {
    expect(await FAULTS[reason]()).toBe(reason);
  });

  it('is in no line of the log, and nothing else that the process prints', async () => {
    for (const reason of IN_FAULTS) {
      // A line may come through its pipe after the answer came through its socket.
      await expect.poll(() => output, { message: reason }).toContain(`"reason":"${reason}"`);
    }
    expectNoMark(output.split('\n'));
  });
});
