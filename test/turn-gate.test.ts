import { describe, expect, it } from 'vitest';
import { createTurnGate, type GateCall } from '../src/server/turn-gate.ts';

/** Keeps the event loop busy for longer than requests may take of one turn, as reading a large request does. */
function work(): void {
  const end = performance.now() + 3;
  while (performance.now() < end);
}

function callOf(client: string, timeoutMs: number, bytes = 1): GateCall {
  return { client, deadline: Date.now() + timeoutMs, bytes };
}

/** Sends calls to a gate, and notes the order in which they come in. */
function openGate() {
  const passGate = createTurnGate();
  const order: string[] = [];

  async function call(client: string, index: number, timeoutMs: number): Promise<void> {
    const isIn = await passGate(callOf(client, timeoutMs));
    order.push(`${client} ${index}${isIn ? '' : ' refused'}`);
    if (isIn) {
      work();
    }
  }

  /** Answers when all are sent, with what ends when all are in. */
  async function send(client: string, count: number, timeoutMs: number): Promise<{ done: Promise<unknown> }> {
    const calls: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      calls.push(call(client, index, timeoutMs));
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

  it('lets the last call in first once the first has waited for a quarter of its time', async () => {
    const { send, order } = openGate();
    const { done } = await send('flood', 60, 600);
    await done;
    const turned = order.indexOf('flood 59');
    expect(turned).toBeGreaterThan(1);
    expect(turned).toBeLessThan(56);
    expect(order).toEqual([
      ...numbers(turned).map((index) => `flood ${index}`),
      ...numbers(60 - turned).map((index) => `flood ${59 - index}`),
    ]);
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

  it('holds no more than so many calls', async () => {
    const passGate = createTurnGate({ calls: 2, bytes: 100 });
    const pass = () => passGate(callOf('flood', 60_000));
    expect(await pass()).toBe(true);
    work();
    expect(await Promise.all([pass(), pass(), pass()])).toEqual([true, true, false]);
    work();
    expect(await Promise.all([pass(), pass(), pass()])).toEqual([true, true, false]);
  });

  it('holds no more than so many bytes', async () => {
    const passGate = createTurnGate({ calls: 100, bytes: 100 });
    const pass = (bytes: number) => passGate(callOf('flood', 60_000, bytes));
    expect(await pass(1000)).toBe(true);
    work();
    expect(await Promise.all([pass(60), pass(41), pass(40), pass(1)])).toEqual([true, false, true, false]);
    work();
    expect(await Promise.all([pass(100), pass(1)])).toEqual([true, false]);
  });
});
