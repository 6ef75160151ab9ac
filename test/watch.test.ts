/** WatchIeps: what a watcher is told, over every protocol. */
import { randomUUID } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { IepStatus } from '../src/gen/iep/v1/iep_pb.ts';
import { IepChangeType } from '../src/gen/iep/v1/watch_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { createAtOnce, newIep, newStudent } from './support/samples.ts';
import { clientsOf, type LogLines, type RunningService, startInProcess } from './support/service.ts';
import type { TestDatabase } from './support/sql.ts';
import { expectLedger, toldOf, versionsOf, watch, watchFromNow } from './support/watching.ts';

const SHORT = { seconds: 0n, nanos: 100_000_000 };

describeOnBoth('WatchIeps', (backend) => {
  let database: TestDatabase;
  let service: RunningService & { log: LogLines };

  beforeAll(async () => {
    database = await backend.create();
    service = await startInProcess(database.url, { LOG_LEVEL: 'debug' });
  });
  afterAll(async () => {
    await service.stop();
    await expectInvariants(database);
    await database.drop();
  });

  const clients = () => Object.entries(clientsOf(service));

  it('tells of a creation, over every protocol', async () => {
    const studentId = await newStudent(service.client);
    const watchers = await Promise.all(clients().map(([, client]) => watchFromNow(client, { studentId })));
    const before = Date.now();
    const { iep } = await service.client.createIep(
      { studentId, academicYear: '2025-2026', content: { a: 'é' }, goals: [{ goalKey: 'a', goalText: 'reads' }] },
      { headers: { 'x-user-id': 'Ms. Ng' } },
    );
    for (const watching of watchers) {
      await toldOf(watching, 1);
      const [change] = watching.changes;
      expect(change).toMatchObject({
        type: IepChangeType.CREATED,
        fromStatus: IepStatus.UNSPECIFIED,
        toStatus: IepStatus.DRAFT,
        actor: 'Ms. Ng',
        iep,
      });
      expect(timestampDate(change!.changeTime!).getTime()).toBeGreaterThan(before - 1000);
      const [event] = await database.query('select id from events where iep_id = ?', iep!.id);
      expect(change?.eventId).toBe(event?.['id']);
      await watching.cancel();
    }
    const [first, ...others] = watchers.map(({ changes }) => changes);
    others.forEach((changes) => expect(changes).toEqual(first));
  });
});
