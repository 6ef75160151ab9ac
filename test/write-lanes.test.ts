import { describe, expect, it } from 'vitest';
import { createWriteLanes } from '../src/persistence/write-lanes.ts';

/** Tasks that end when the test says so. */
function workshop(concurrency: number) {
  const lanes = createWriteLanes(concurrency);
  const started: string[] = [];
  const ends = new Map<string, { finish: () => void; fail: (error: Error) => void }>();

  function enqueue(lane: string, name: string) {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    ends.set(name, { finish: () => resolve(name), fail: reject });
    return lanes.enqueue(lane, () => {
      started.push(name);
      return promise;
    });
  }
  /** Lets everything that can go on go on. */
  const settle = () => new Promise((resolve) => void setImmediate(resolve));
  const finish = async (name: string) => {
    ends.get(name)?.finish();
    await settle();
  };
  return { started, ends, enqueue, finish, settle };
}

describe('write lanes', () => {
  it('runs one task of a lane at a time, in order of arrival', async () => {
    const { started, enqueue, finish } = workshop(10);
    const results = ['a1', 'a2', 'a3'].map((name) => enqueue('a', name).result);
    expect(started).toEqual(['a1']);
    await finish('a1');
    expect(started).toEqual(['a1', 'a2']);
    await finish('a2');
    await finish('a3');
    expect(await Promise.all(results)).toEqual(['a1', 'a2', 'a3']);
  });

  it('runs lanes side by side, up to the limit, and lets them take turns', async () => {
    const { started, enqueue, finish } = workshop(2);
    ['a1', 'a2', 'b1', 'b2', 'c1'].forEach((name) => enqueue(name.slice(0, 1), name));
    expect(started).toEqual(['a1', 'b1']);
    await finish('a1');
    expect(started).toEqual(['a1', 'b1', 'c1']);
    await finish('b1');
    expect(started).toEqual(['a1', 'b1', 'c1', 'a2']);
    await finish('a2');
    expect(started).toEqual(['a1', 'b1', 'c1', 'a2', 'b2']);
  });

  it('goes on after a task that fails', async () => {
    const { started, ends, enqueue, settle } = workshop(1);
    const first = enqueue('a', 'a1').result;
    enqueue('a', 'a2');
    ends.get('a1')?.fail(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    await settle();
    expect(started).toEqual(['a1', 'a2']);
  });

  it('takes a task out that has not started, and only that', async () => {
    const { started, enqueue, finish } = workshop(1);
    const first = enqueue('a', 'a1');
    const second = enqueue('a', 'a2');
    enqueue('a', 'a3');
    expect(second.cancel()).toBe(true);
    expect(second.cancel()).toBe(false);
    expect(first.cancel()).toBe(false);
    await finish('a1');
    expect(started).toEqual(['a1', 'a3']);
  });

  it('keeps a lane usable whose tasks were all taken out', async () => {
    const { started, enqueue, finish } = workshop(1);
    enqueue('a', 'a1');
    enqueue('a', 'a2').cancel();
    await finish('a1');
    enqueue('a', 'a4');
    expect(started).toEqual(['a1', 'a4']);
  });
});
