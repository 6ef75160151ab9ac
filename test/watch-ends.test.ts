/** How a watch ends: by its caller, at its deadline, with the service. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { expect, it, vi } from 'vitest';
import { RetryInfoSchema } from '../src/gen/google/rpc/error_details_pb.ts';
import { describeOnBoth } from './support/databases.ts';
import { refusalOf } from './support/refusal.ts';
import { newIep, newStudent } from './support/samples.ts';
import { clientsOf, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { startForSuite } from './support/suite-service.ts';
import { idleByGrpc, idleByHttp, openNeverEnding } from './support/idle-watch.ts';
import { toldOf, watch, watchFromNow, type Watching } from './support/watching.ts';

const DAYS_30 = 30 * 24 * 60 * 60 * 1000;
/** More of 200 kB each than buffers on the way take. */
const VERSIONS = 60;
/** More of 250 kB each than a connection of TCP takes. */
const MORE_VERSIONS = 80;

/** Headers start no timer in the client, which could end the call before the service's answer is there. */
const deadline = (ms: number) => ({
  headers: { 'connect-timeout-ms': `${ms}`, 'grpc-timeout': ms < 1e8 ? `${ms}m` : `${ms / 1000}S` },
});

const endOf = ({ ended }: Watching) => refusalOf(ended.then((error) => Promise.reject(error!)));

describeOnBoth('a watch ends', (backend) => {
  let database: TestDatabase;
  let service: RunningService;

  startForSuite(backend, (started) => ({ database, service } = started), {
    DEADLINE_DEFAULT_MS: '300',
    DEADLINE_MAX_MS: '300',
  });

  it('at the deadline of its caller', async () => {
    for (const client of Object.values(clientsOf(service))) {
      const began = performance.now();
      const watching = await watchFromNow(client, {}, deadline(700));
      expect(await endOf(watching)).toEqual({ code: 'DeadlineExceeded', reason: 'NOT_EXECUTED', committed: 'no' });
      expect(performance.now() - began).toBeGreaterThan(600);
    }
  });

  it('at no other, neither the default one nor the longest', async () => {
    const watchers = await Promise.all(
      Object.values(clientsOf(service)).flatMap((client) => [
        watchFromNow(client),
        watchFromNow(client, {}, deadline(60_000)),
        watchFromNow(client, {}, deadline(DAYS_30)),
      ]),
    );
    // Both are over.
    await sleep(700);
    await newIep(service.client, await newStudent(service.client));
    for (const watching of watchers) {
      await toldOf(watching, 1);
      expect(watching.changes).toHaveLength(1);
      await watching.cancel();
    }
  });

  it('when the service shuts down, at once, though nobody reads', async () => {
    const own = await startInProcess(database.url, { SHUTDOWN_GRACE_MS: '20000', LOG_LEVEL: 'debug' });
    const watchers = await Promise.all(Object.values(clientsOf(own)).map((client) => watchFromNow(client)));
    const stuck = await Promise.all([idleByGrpc(own.grpcUrl), idleByHttp(own.httpUrl)]);
    const studentId = await newStudent(own.client);
    const content = { text: 'x'.repeat(200_000) };
    for (let count = 0; count < VERSIONS; count++) {
      await own.client.createIep({ studentId, academicYear: '2025-2026', content });
    }
    await toldOf(watchers[0]!, VERSIONS);
    const began = performance.now();
    await own.stop();
    expect(performance.now() - began).toBeLessThan(5000);
    expect(own.log.lines.filter(({ msg }) => String(msg).includes('grace'))).toEqual([]);
    for (const watching of watchers) {
      expect(await endOf(watching)).toEqual({ code: 'Unavailable', reason: 'DRAINING', committed: 'no' });
      const error = await watching.ended;
      expect(Code[error!.code]).toBe('Unavailable');
      expect(error!.findDetails(RetryInfoSchema)).toHaveLength(1);
    }
    await vi.waitFor(() => {
      const lines = own.log.lines.filter(({ rpc }) => rpc === 'WatchIeps');
      expect(lines).toHaveLength(watchers.length + stuck.length);
    });
    stuck.forEach(({ close }) => close());
    // Where it was, another instance goes on.
    const resumed = await startInProcess(database.url);
    const iep = await newIep(resumed.client, studentId);
    const next = watch(resumed.client, { resumeToken: watchers[0]!.token });
    await toldOf(next, 1);
    expect(next.changes.map(({ iep: told }) => told?.id)).toEqual([iep.id]);
    await next.cancel();
    await resumed.stop();
  });

  it('when the service shuts down, soon, though its client does not close the connection', async () => {
    const own = await startInProcess(database.url, { SHUTDOWN_GRACE_MS: '20000' });
    const between = [await openNeverEnding(own.grpcUrl), await openNeverEnding(own.httpUrl)] as const;
    const stuck = await Promise.all([idleByGrpc(between[0].url), idleByHttp(between[1].url)]);
    const began = performance.now();
    await own.stop();
    expect(performance.now() - began).toBeLessThan(5000);
    expect(own.log.lines.filter(({ msg }) => String(msg).includes('grace'))).toEqual([]);
    [...stuck, ...between].forEach(({ close }) => close());
  });

  it('when the service shuts down, soon, though its client has stopped reading the connection', async () => {
    const own = await startInProcess(database.url, { SHUTDOWN_GRACE_MS: '20000' });
    const between = await openNeverEnding(own.grpcUrl);
    const stuck = await idleByGrpc(between.url, '', 2 ** 30);
    between.freeze();
    const watching = await watchFromNow(own.client);
    const studentId = await newStudent(own.client);
    const content = { text: 'x'.repeat(250_000) };
    for (let count = 0; count < MORE_VERSIONS; count++) {
      await own.client.createIep({ studentId, academicYear: '2025-2026', content });
    }
    await toldOf(watching, MORE_VERSIONS);
    const began = performance.now();
    await own.stop();
    expect(performance.now() - began).toBeLessThan(6000);
    expect(own.log.lines.filter(({ msg }) => String(msg).includes('grace'))).toEqual([]);
    stuck.close();
    between.close();
  });
});
