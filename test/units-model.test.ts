/** Calls that share units of work, of every temper and in any mixture: each gets what it would get alone. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Database, openDatabase } from '../src/persistence/database.ts';
import { StorageError } from '../src/persistence/errors.ts';
import type { Outcome, UnitOfWork } from '../src/persistence/unit-of-work.ts';
import { describeOnBoth } from './support/databases.ts';
import { occupy } from './support/occupy.ts';
import { YEAR } from './support/samples.ts';
import type { Row, TestDatabase } from './support/sql.ts';

const STUDENTS = ['a', 'b', 'c'];

interface Temper {
  readonly student: string;
  /** `poison` breaks a constraint, `throw` is a fault of the work, `conflict` fails in the first attempt of each unit. */
  readonly does: 'insert' | 'refuse' | 'poison' | 'throw' | 'conflict';
  /** Copies of one request. */
  readonly request: string | undefined;
  /** When its caller goes away: `working` while its unit is under way, `soon` at any moment. */
  readonly leaves: 'never' | 'before' | 'queued' | 'working' | 'soon';
}

interface Member extends Temper {
  readonly id: number;
  readonly caller: AbortController;
}

const anyTemper: fc.Arbitrary<Temper> = fc.record({
  student: fc.constantFrom(...STUDENTS),
  does: fc.oneof(
    { weight: 8, arbitrary: fc.constant('insert' as const) },
    { weight: 3, arbitrary: fc.constantFrom('refuse' as const, 'conflict' as const) },
    { weight: 1, arbitrary: fc.constantFrom('poison' as const, 'throw' as const) },
  ),
  request: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom('r1', 'r2') },
  ),
  leaves: fc.oneof(
    { weight: 6, arbitrary: fc.constant('never' as const) },
    { weight: 2, arbitrary: fc.constantFrom('before' as const, 'queued' as const, 'working' as const) },
    { weight: 1, arbitrary: fc.constant('soon' as const) },
  ),
});

/** One that another process holds for a while. */
const aHeldChain = fc.option(fc.constantFrom(...STUDENTS), { nil: undefined, freq: 2 });

describeOnBoth('a unit of work', (backend) => {
  let database: TestDatabase;
  let units: Database;
  let gate: Promise<void>;
  /** Members that came before the work, ever. */
  const seen = new Set<Member>();

  beforeAll(async () => {
    database = await backend.create();
    await database.query(`create table marks (
      student text not null, place integer not null, id integer not null check (id >= 0), request text,
      primary key (student, place), unique (request))`);
    units = await openDatabase({ url: database.url, poolSize: 2, versionLock: 'advisory', migrate: 'off' });
  });
  afterAll(async () => {
    await units.close();
    await database.drop();
  });

  async function mark({ em, attempt }: UnitOfWork, members: readonly Member[]): Promise<Outcome<number>[]> {
    await gate;
    const outcomes: Outcome<number>[] = [];
    for (const member of members) {
      seen.add(member);
      if (member.leaves === 'working') {
        member.caller.abort();
      }
      if (member.does === 'throw') {
        throw new TypeError('a fault of the work');
      }
      if (member.does === 'conflict' && attempt === 1) {
        throw Object.assign(new Error('conflict'), { code: backend.name === 'SQLite' ? 'SQLITE_BUSY' : '40001' });
      }
      if (member.does === 'refuse') {
        outcomes.push({ refusal: new RangeError(`refused ${member.id}`) });
        continue;
      }
      const [earlier] = await em.execute<{ id: number }[]>('select id from marks where request = ?', [
        member.request ?? null,
      ]);
      if (earlier === undefined) {
        await em.execute(
          `insert into marks (student, place, id, request)
           select cast(? as text), coalesce(max(place), 0) + 1, ?, ? from marks where student = ?`,
          [member.student, member.does === 'poison' ? -1 : member.id, member.request ?? null, member.student],
        );
      }
      outcomes.push({ value: earlier?.id ?? member.id });
    }
    return outcomes;
  }

  const marking = { run: mark };
  const submit = (member: Member) =>
    units.inChain(
      { districtId: 'default', studentId: member.student, academicYear: YEAR },
      { deadline: Date.now() + 20_000, signal: member.caller.signal },
      marking,
      member,
      1,
    );

  /** Goes through the student's lane and leaves nothing. */
  const pass = (student: string) =>
    expect(
      submit({ student, does: 'refuse', request: undefined, leaves: 'never', id: -1, caller: new AbortController() }),
    ).rejects.toThrow('refused');

  /** Queues them all, lets them run, and answers what each was told. */
  async function runTogether(
    members: readonly Member[],
    held: string | undefined,
  ): Promise<PromiseSettledResult<number>[]> {
    const release = held === undefined ? undefined : await occupy(database, held);
    const { promise, resolve: open } = Promise.withResolvers<void>();
    gate = promise;
    // As many as there are writers, so that everybody else has to queue.
    const holders = ['x', 'y'].map(pass);
    members.filter(({ leaves }) => leaves === 'before').forEach(({ caller }) => caller.abort());
    const calls = Promise.allSettled(members.map(submit));
    members.filter(({ leaves }) => leaves === 'queued').forEach(({ caller }) => caller.abort());
    open();
    for (const { caller } of members.filter(({ leaves }) => leaves === 'soon')) {
      await new Promise((resolve) => void setImmediate(resolve));
      caller.abort();
    }
    // Long enough for some batches to find the chain held, on most runs.
    for (let turns = release === undefined ? 0 : 50; turns > 0; turns--) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await release?.();
    await Promise.all([...holders, calls]);
    // Callers who left may be answered before their units are over.
    await Promise.all(STUDENTS.map(pass));
    return calls;
  }

  function reasonOf(error: unknown): string {
    return error instanceof StorageError ? error.reason : error instanceof RangeError ? error.message : 'fault';
  }

  /** What a call is told when nobody else is there. */
  function due({ id, does }: Member): number | string {
    return does === 'refuse' ? `refused ${id}` : does === 'poison' || does === 'throw' ? 'fault' : id;
  }

  /** Copies of a request share the id of one of them. */
  function expectDue(member: Member, told: number | string, members: readonly Member[]): void {
    const copies = members.filter(({ request }) => request !== undefined && request === member.request);
    const possible = [
      ...(['never', 'soon'].includes(member.leaves) ? [due(member)] : []),
      ...(typeof told === 'number' && typeof due(member) !== 'string' ? copies.map(({ id }) => id) : []),
      // The first copy was made, so there is nothing left to break.
      ...(typeof told === 'number' && member.does === 'poison' ? copies.map(({ id }) => id) : []),
      ...(member.leaves === 'never' ? [] : ['NOT_EXECUTED']),
      ...(member.leaves === 'soon' ? ['OUTCOME_UNKNOWN'] : []),
    ];
    expect(possible, `told to member ${member.id}`).toContain(told);
  }

  function expectRows(rows: readonly Row[], members: readonly Member[], told: readonly (number | string)[]): void {
    const stored = rows.map(({ id }) => Number(id));
    const acknowledged = new Set(told.filter((answer) => typeof answer === 'number'));
    const unknown = members.filter((_, index) => told[index] === 'OUTCOME_UNKNOWN').map(({ id }) => id);
    expect(stored).toEqual([...new Set(stored)]);
    expect([...acknowledged].filter((id) => !stored.includes(id))).toEqual([]);
    expect(stored.filter((id) => !acknowledged.has(id) && !unknown.includes(id))).toEqual([]);
    for (const student of STUDENTS) {
      const chain = rows.filter((row) => row['student'] === student);
      expect(chain.map(({ place }) => Number(place))).toEqual(chain.map((_, index) => index + 1));
      const ids = chain.map(({ id }) => Number(id));
      expect(ids, 'order of arrival').toEqual(ids.toSorted((a, b) => a - b));
    }
  }

  it('gives each of its calls what it is due, whoever else is in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyTemper, { minLength: 1, maxLength: 100, size: 'max' }),
        aHeldChain,
        async (tempers, held) => {
          await database.query('delete from marks');
          const members = tempers.map((temper, id): Member => ({ ...temper, id, caller: new AbortController() }));
          const ends = await runTogether(members, held);
          const told = ends.map((end) => (end.status === 'fulfilled' ? end.value : reasonOf(end.reason)));
          members.forEach((member, index) => expectDue(member, told[index]!, members));
          expectRows(
            await database.query('select student, place, id from marks order by student, place'),
            members,
            told,
          );
          const gone = members.filter(({ leaves }) => leaves === 'before' || leaves === 'queued');
          expect(gone.filter((member) => seen.has(member))).toEqual([]);
        },
      ),
      { numRuns: 30, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: true },
    );
  });
});
