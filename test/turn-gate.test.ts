import { describe, expect, it } from 'vitest';
import { createTurnGate } from '../src/rpc/turn-gate.ts';

/** Keeps the event loop busy for longer than requests may take of one turn, as reading a large request does. */
function work(): void {
  const end = performance.now() + 3;
  while (performance.now() < end);
}

/** Sends calls to a gate, and notes the order in which they come in. */
function openGate() {
  const passGate = createTurnGate();
  const order: string[] = [];

  async function call(client: string, index: number, timeoutMs: number): Promise<void> {
    await passGate(client, Date.now() + timeoutMs);
    order.push(`${client} ${index}`);
    work();
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
    const { done } = await send('flood', 100, 200);
    await done;
    const turned = order.indexOf('flood 99');
    expect(turned).toBeGreaterThan(1);
    expect(turned).toBeLessThan(40);
    expect(order).toEqual([
      ...numbers(turned).map((index) => `flood ${index}`),
      ...numbers(100 - turned).map((index) => `flood ${99 - index}`),
    ]);
  });
});
