import { describe, expect, it } from 'vitest';
import { createReadGate } from '../src/persistence/read-gate.ts';

/** Reads that end when the test says so. */
function reads(concurrency: number, limit: number) {
  const pass = createReadGate(concurrency, limit);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const read = (name: string, signal = new AbortController().signal) =>
    pass({ signal, deadline: Infinity }, () => {
      started.push(name);
      const { promise, resolve } = Promise.withResolvers<string>();
      ends.set(name, () => resolve(name));
      return promise;
    });
  const settle = () => new Promise((resolve) => void setImmediate(resolve));
  const end = (name: string) => {
    ends.get(name)!();
    return settle();
  };
  return { started, read, end, settle };
}

describe('the read gate', () => {
  it('lets some in at once and the others in order of arrival', async () => {
    const { started, read, end, settle } = reads(2, 10);
    const all = ['a', 'b', 'c', 'd'].map((name) => read(name));
    await settle();
    expect(started).toEqual(['a', 'b']);
    await end('b');
    expect(started).toEqual(['a', 'b', 'c']);
    await end('a');
    await end('c');
    await end('d');
    expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('forgets a caller who goes away', async () => {
    const { started, read, end } = reads(1, 10);
    const caller = new AbortController();
    void read('a');
    const gone = read('b', caller.signal);
    void read('c');
    caller.abort();
    await expect(gone).rejects.toThrow('NOT_EXECUTED');
    await end('a');
    expect(started).toEqual(['a', 'c']);
  });

  it('passes the place on after a read that fails', async () => {
    const pass = createReadGate(1);
    const call = { signal: new AbortController().signal, deadline: Infinity };
    const failing = pass(call, () => Promise.reject(new Error('broken')));
    const next = pass(call, async () => 'read');
    await expect(failing).rejects.toThrow('broken');
    expect(await next).toBe('read');
  });

  it('turns away what goes beyond its limit', async () => {
    const { read, end } = reads(1, 1);
    void read('a');
    void read('b');
    await expect(read('c')).rejects.toThrow('OVERLOADED');
    await end('a');
    const last = read('d');
    await end('b');
    await end('d');
    expect(await last).toBe('d');
  });
});
