/** Reads that calls share: who goes together, and who waits for nobody. */
import { expect, it } from 'vitest';
import { createSharedReads } from '../src/persistence/shared-reads.ts';
import type { Call } from '../src/persistence/retry.ts';
import type { Reader } from '../src/persistence/unit-of-work.ts';

const patient = (deadline = 1000): Call => ({ deadline, signal: new AbortController().signal });
const settle = () => new Promise((resolve) => void setImmediate(resolve));

/** Reads that end when the test says so, and double their keys. */
function reads(limits?: { keys: number; waiting: number }) {
  const running: { keys: readonly number[]; call: Call; end: (error?: Error) => Promise<unknown> }[] = [];
  const share = createSharedReads(async (call, work) => work({ call } as unknown as Reader), limits);
  const double = async (reader: Reader, keys: readonly number[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { call } = reader as unknown as { call: Call };
    running.push({ keys, call, end: (error) => (error ? reject(error) : resolve(), settle()) });
    await promise;
    return keys.map((key) => key * 2);
  };
  return { running, read: (key: number, call = patient()) => share(call, double, key), share };
}

it('lets the first go at once and alone, and the others together behind it', async () => {
  const { running, read } = reads();
  const results = [1, 2, 3].map((key) => read(key));
  expect(running.map(({ keys }) => keys)).toEqual([[1]]);
  await running[0]!.end();
  expect(running.map(({ keys }) => keys)).toEqual([[1], [2, 3]]);
  results.push(read(4));
  await running[1]!.end();
  await running[2]!.end();
  expect(await Promise.all(results)).toEqual([2, 4, 6, 8]);
  const later = read(5);
  expect(running.at(-1)?.keys).toEqual([5]);
  await running.at(-1)!.end();
  expect(await later).toBe(10);
});

it('keeps kinds apart', async () => {
  const { running, read, share } = reads();
  const first = read(1);
  expect(await share(patient(), async (_reader, keys: readonly string[]) => keys, 'a')).toBe('a');
  await running[0]!.end();
  expect(await first).toBe(2);
});

it('waits as long as the most patient, and leaves out those who went away', async () => {
  const { running, read } = reads();
  const gone = new AbortController();
  const first = read(1);
  const others = [read(2, patient(10)), read(3, patient(30)), read(4, patient(20))];
  void read(5, { deadline: 99, signal: gone.signal });
  gone.abort();
  await running[0]!.end();
  expect(running[1]).toMatchObject({ keys: [2, 3, 4], call: { deadline: 30 } });
  await running[1]!.end();
  expect(await Promise.all([first, ...others])).toEqual([2, 4, 6, 8]);
});

it('fails those of one read, and goes on', async () => {
  const { running, read } = reads();
  const first = read(1);
  const second = Promise.allSettled([read(2), read(3)]);
  await running[0]!.end();
  const third = read(4);
  await running[1]!.end(new Error('lost'));
  expect(await second).toMatchObject([{ reason: { message: 'lost' } }, { reason: { message: 'lost' } }]);
  await running[2]!.end();
  expect(await Promise.all([first, third])).toEqual([2, 8]);
});

it('takes so many keys at a time, and refuses too many who wait', async () => {
  const { running, read } = reads({ keys: 2, waiting: 3 });
  const results = [1, 2, 3, 4].map((key) => read(key));
  expect(() => read(5)).toThrow('OVERLOADED');
  for (let at = 0; at < 3; at++) {
    await running[at]!.end();
  }
  expect(running.map(({ keys }) => keys)).toEqual([[1], [2, 3], [4]]);
  expect(await Promise.all(results)).toEqual([2, 4, 6, 8]);
});
