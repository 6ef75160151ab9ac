import { describe, expect, it, vi } from 'vitest';
import type { WriteQueue } from '../src/persistence/write-lanes.ts';
import { createTurnGate, type GateCall } from '../src/server/turn-gate.ts';

/** Keeps the event loop busy for longer than requests may take of one turn, as reading a large request does. */
function work(): void {
  const end = performance.now() + 3;
  while (performance.now() < end);
}

function callOf(client: string, timeoutMs: number, over: Partial<GateCall> = {}): GateCall {
  return { client, deadline: Date.now() + timeoutMs, bytes: 1, writes: false, ...over };
}

const IDLE: WriteQueue = { isFull: () => false, waitMs: () => 0 };

/** Sends calls to a gate, and notes the order in which they come in. */
function openGate(queue = IDLE) {
  const passGate = createTurnGate(queue);
  const order: string[] = [];

  async function call(client: string, index: number, timeoutMs: number, writes: boolean): Promise<void> {
    const isIn = await passGate(callOf(client, timeoutMs, { writes }));
    order.push(`${client} ${index}${isIn ? '' : ' refused'}`);
    if (isIn) {
      work();
    }
  }

  /** Answers when all are sent, with what ends when all are in. */
  async function send(client: string, count: number, timeoutMs: number, writes = false) {
    const calls: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      calls.push(call(client, index, timeoutMs, writes));
      await new Promise<void>((resolve) => process.nextTick(resolve));
    }
    return { done: Promise.all(calls) };
  }
  return { send, order };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('the gate', () => {
  it('lets a client that sends a few calls in among those of one that sends many', async () => {
    const { send, order } = openGate();
    const flood = await send('flood', 50, 60_000);
    const calm = await send('calm', 3, 60_000);
    await Promise.all([flood.done, calm.done]);
    expect(order.slice(0, 8).filter((call) => call.startsWith('calm'))).toEqual(['calm 0', 'calm 1', 'calm 2']);
    expect(order.filter((call) => call.startsWith('flood'))).toEqual(numbers(50).map((index) => `flood ${index}`));
  });

  it('turns a call away on arrival that would wait for a tenth of its time', async () => {
    const { send, order } = openGate();
    const flood = await send('flood', 250, 60_000);
    await vi.waitUntil(() => order.length >= 150, { interval: 1 });
    const hurried = await send('flood', 1, 1000);
    await hurried.done;
    expect(order.at(-1)).toBe('flood 0 refused');
    expect(order.length).toBeLessThan(200);
    // It would not wait as long, since clients take turns.
    const calm = await send('calm', 1, 1000);
    await Promise.all([flood.done, calm.done]);
    expect(order).toContain('calm 0');
    expect(order.filter((call) => call.endsWith('refused'))).toEqual(['flood 0 refused']);
  });

  it('refuses a call that has waited for half of its time', async () => {
    const { send, order } = openGate();
    const { done } = await send('flood', 200, 400);
    await done;
    const refused = order.filter((call) => call.endsWith('refused'));
    expect(refused.length).toBeGreaterThan(20);
    expect(refused.length).toBeLessThan(180);
    expect(refused).toEqual(refused.toSorted((a, b) => Number(a.split(' ')[1]) - Number(b.split(' ')[1])));
  });

  it('keeps writes back while enough of them wait inside, and lets reads pass', async () => {
    let full = true;
    const { send, order } = openGate({ ...IDLE, isFull: () => full });
    const writes = await send('writer', 3, 60_000, true);
    const reads = await send('reader', 3, 60_000);
    await reads.done;
    expect(order).toEqual(['reader 0', 'reader 1', 'reader 2']);
    full = false;
    await writes.done;
    expect(order.slice(3)).toEqual(['writer 0', 'writer 1', 'writer 2']);
  });

  it('lets in one by one what waits, as long as there is room', async () => {
    let room = 0;
    const passGate = createTurnGate({ ...IDLE, isFull: () => room === 0 });
    const write = async () => {
      const isIn = await passGate(callOf('writer', 60_000, { writes: true }));
      room--;
      return isIn;
    };
    const calls = [write(), write(), write()];
    room = 2;
    expect(await Promise.all(calls.slice(0, 2))).toEqual([true, true]);
    expect(room).toBe(0);
    room = 1;
    expect(await calls[2]).toBe(true);
  });

  it('turns a write away on arrival that would wait for a twenty-fifth of its time, here and inside', async () => {
    let waitMs = 100;
    const passGate = createTurnGate({ ...IDLE, waitMs: () => waitMs });
    const write = async (timeoutMs: number) => passGate(callOf('writer', timeoutMs, { writes: true }));
    expect(await Promise.all([write(2400), write(2600)])).toEqual([false, true]);
    // What it has waited by then counts, too, and others have come.
    work();
    const late = [write(2600), write(60_000)];
    waitMs = 400;
    expect(await Promise.all(late)).toEqual([false, true]);
    expect(await passGate(callOf('reader', 100))).toBe(true);
  });

  it('holds no more than so many calls', async () => {
    const passGate = createTurnGate(IDLE, { calls: 2, bytes: 100 });
    const pass = () => passGate(callOf('flood', 60_000));
    expect(await pass()).toBe(true);
    work();
    expect(await Promise.all([pass(), pass(), pass()])).toEqual([true, true, false]);
    work();
    expect(await Promise.all([pass(), pass(), pass()])).toEqual([true, true, false]);
  });

  it('holds no more than so many bytes', async () => {
    const passGate = createTurnGate(IDLE, { calls: 100, bytes: 100 });
    const pass = (bytes: number) => passGate(callOf('flood', 60_000, { bytes }));
    expect(await pass(1000)).toBe(true);
    work();
    expect(await Promise.all([pass(60), pass(41), pass(40), pass(1)])).toEqual([true, false, true, false]);
    work();
    expect(await Promise.all([pass(100), pass(1)])).toEqual([true, false]);
  });
});
