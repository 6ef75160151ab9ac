/** Changes of documents at once: whatever the setup, each call wins or is told why not, and nothing is lost. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Iep } from '../src/gen/iep/v1/iep_pb.ts';
import { describeOnBoth, expectInvariants } from './support/databases.ts';
import { as, GOAL, iepIn, type Move, move, statusOf } from './support/lifecycle.ts';
import { refusalOf } from './support/refusal.ts';
import { newStudent } from './support/samples.ts';
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
  'VERSION_LOCK=row and two service processes': (url) => twoProcesses(url, { VERSION_LOCK: 'row' }),
  'VERSION_LOCK=none and two service processes': (url) => twoProcesses(url, { VERSION_LOCK: 'none' }),
};

describeOnBoth('concurrent changes', (backend) => {
  describe.each(Object.entries(SETUPS))('with %s', (_setup, start) => {
    let database: TestDatabase;
    let services: RunningService[];
    let clients: IepClient[];

    beforeAll(async () => {
      database = await backend.create();
      services = await Promise.all(start(database.url));
      clients = services.map(({ client }) => client);
    });
    afterEach(async () => {
      await expectInvariants(database);
      await expectHistory();
    });
    afterAll(async () => {
      await Promise.all(services.map((service) => service.stop()));
      await database.drop();
    });

    const any = () => clients[0]!;
    const get = async (iepId: string) => (await any().getIep({ iepId })).iep!;

    /** The events of each version are its row_versions one by one, and each begins where the one before ended. */
    async function expectHistory(): Promise<void> {
      const rows = await database.query(
        `select ieps.id, ieps.row_version as rows, ieps.status, events.row_version, from_status, to_status
         from ieps join events on events.district_id = ieps.district_id and events.iep_id = ieps.id
         order by ieps.id, events.row_version`,
      );
      for (const events of Map.groupBy(rows, ({ id }) => id).values()) {
        expect(events.map(({ row_version: version }) => version)).toEqual(events.map((_, index) => index + 1));
        expect(events[0]?.['rows']).toBe(events.length);
        let status: unknown = null;
        for (const { from_status: from, to_status: to } of events.filter((event) => event['to_status'] !== null)) {
          expect(from).toBe(status);
          status = to;
        }
        expect(events[0]?.['status']).toBe(status);
      }
    }

    /** Runs the calls at once, over the clients in turn: the answers, and the reasons of the refusals. */
    async function atOnce(calls: ((client: IepClient) => Promise<Iep>)[]) {
      const ends = await Promise.allSettled(calls.map((call, index) => call(clients[index % clients.length]!)));
      const won = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
      const lost = ends.flatMap((end) => (end.status === 'rejected' ? [refusalOf(Promise.reject(end.reason))] : []));
      return { won, lost: await Promise.all(lost) };
    }
    const times = <T>(count: number, make: (index: number) => T) => Array.from({ length: count }, (_, at) => make(at));

    it.each<[Move, string]>([
      ['submitIep', 'DRAFT'],
      ['returnIep', 'UNDER_REVIEW'],
      ['approveIep', 'UNDER_REVIEW'],
      ['activateIep', 'APPROVED'],
      ['endIep', 'ACTIVE'],
      ['discardIep', 'APPROVED'],
    ])('let exactly one %s of a document win', async (name, status) => {
      const { id, etag } = await iepIn(any(), status);
      const { won, lost } = await atOnce(
        times(12, (index) => (by) => move(by, id, name, { etag: index % 3 ? etag : '*' })),
      );
      expect(won).toHaveLength(1);
      expect(won[0]).toEqual(await get(id));
      expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(['ETAG_MISMATCH', 'ILLEGAL_TRANSITION']));
      for (const { reason, current_etag: current, changed_paths: paths, from } of lost) {
        expect(reason === 'ETAG_MISMATCH' ? [current, paths] : [from]).toEqual(
          reason === 'ETAG_MISMATCH' ? [won[0]!.etag, '/status'] : [statusOf(won[0]!)],
        );
      }
    });

    it('answer copies of one activation alike', async () => {
      const { studentId } = await iepIn(any(), 'ACTIVE');
      const { id, etag } = await iepIn(any(), 'APPROVED', { studentId });
      const requestId = randomUUID();
      const { won, lost } = await atOnce(times(12, () => (by) => move(by, id, 'activateIep', { etag, requestId })));
      expect(lost).toEqual([]);
      expect(won).toEqual(won.map(() => won[0]));
      expect(statusOf(won[0]!)).toBe('ACTIVE');
    });

    it('let activations of one student follow one another, in one year or several', async () => {
      const studentId = await newStudent(any());
      const ieps = await Promise.all(
        times(8, (index) =>
          iepIn(any(), 'APPROVED', {
            studentId,
            academicYear: index % 2 ? '2025-2026' : `${2010 + index}-${2011 + index}`,
          }),
        ),
      );
      const { won, lost } = await atOnce(
        ieps.map(
          ({ id }) =>
            (by) =>
              move(by, id, 'activateIep'),
        ),
      );
      expect(lost).toEqual([]);
      expect(won.map(statusOf)).toEqual(won.map(() => 'ACTIVE'));
      const now = await Promise.all(ieps.map(({ id }) => get(id)));
      expect(now.map(statusOf).toSorted()).toEqual(['ACTIVE', ...times(7, () => 'SUPERSEDED')]);
    });

    it('let an end and an activation of another year both be, or neither twice', async () => {
      for (let round = 0; round < 5; round++) {
        const studentId = await newStudent(any());
        const old = await iepIn(any(), 'ACTIVE', { studentId, academicYear: '2024-2025' });
        const next = await iepIn(any(), 'APPROVED', { studentId });
        const { won, lost } = await atOnce([
          (by) => move(by, old.id, 'endIep'),
          (by) => move(by, next.id, 'activateIep'),
        ]);
        const statuses = [statusOf(await get(old.id)), statusOf(await get(next.id))];
        expect(statuses).toEqual([lost.length === 0 ? 'ENDED' : 'SUPERSEDED', 'ACTIVE']);
        expect(won.length + lost.length).toBe(2);
        expect(lost).toMatchObject(lost.map(() => ({ reason: 'ILLEGAL_TRANSITION', from: 'SUPERSEDED' })));
      }
    });

    it('let an edit or an approval win, never both', async () => {
      const ieps = await Promise.all(times(6, () => iepIn(any(), 'UNDER_REVIEW')));
      const returned = async (by: IepClient, id: string) => {
        await move(by, id, 'returnIep', { etag: '2' });
        return (await by.updateIep({ iep: { id, etag: '3', content: { edited: true } } })).iep!;
      };
      const { won, lost } = await atOnce(
        ieps.flatMap(({ id }) => [
          (by: IepClient) => returned(by, id),
          (by: IepClient) => move(by, id, 'approveIep', { etag: '2' }),
        ]),
      );
      expect([won.length, lost.length]).toEqual([6, 6]);
      expect(lost.map(({ reason }) => reason)).toEqual(lost.map(() => 'ETAG_MISMATCH'));
    });

    it('keep every save of those who read again after a refusal', async () => {
      const keys = times(6, (index) => `goal-${index}`);
      const { id } = await iepIn(any(), 'DRAFT', { goals: keys.map((goalKey) => ({ ...GOAL, goalKey })) });
      const save = (goalKey: string) => async (by: IepClient) => {
        for (;;) {
          const read = (await by.getIep({ iepId: id })).iep!;
          const goals = read.goals.map((goal) => (goal.goalKey === goalKey ? { ...goal, baseline: goalKey } : goal));
          const [end] = await Promise.allSettled([by.updateIep({ iep: { id, etag: read.etag, goals } }, as(goalKey))]);
          if (end.status === 'fulfilled') {
            return end.value.iep!;
          }
          expect(await refusalOf(Promise.reject(end.reason))).toMatchObject({ reason: 'ETAG_MISMATCH' });
        }
      };
      const { won } = await atOnce(keys.map(save));
      expect(won).toHaveLength(keys.length);
      const after = await get(id);
      expect(after.goals.map(({ baseline }) => baseline)).toEqual(keys);
      expect(after.revision).toBe(keys.length + 1);
    });

    it('carry many documents through their lives at once', async () => {
      const ieps = await Promise.all(times(20, () => iepIn(any(), 'DRAFT')));
      const steps: Move[] = ['submitIep', 'returnIep', 'submitIep', 'approveIep', 'activateIep', 'endIep'];
      const { won, lost } = await atOnce(
        ieps.map(({ id }) => async (by) => {
          await by.updateIep({
            iep: { id, etag: '*', content: { edited: true }, goals: [{ ...GOAL, goalKey: 'new' }] },
          });
          for (const name of steps.slice(0, -1)) {
            await move(by, id, name);
          }
          return move(by, id, 'endIep');
        }),
      );
      expect(lost).toEqual([]);
      expect(won.map(statusOf)).toEqual(won.map(() => 'ENDED'));
    });
  });
});
