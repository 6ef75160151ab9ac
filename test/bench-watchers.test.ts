/** The watchers of the benchmark: what is not told, or told too often, makes a run invalid. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidRun } from '../bench/invalid-run.ts';
import { startWatchers, type Watchers } from '../bench/probes/watch/watchers.ts';
import { sqlite } from './support/databases.ts';
import { newIep, newStudent } from './support/samples.ts';
import { type ServiceProcess, startProcess } from './support/service.ts';

const { signal } = new AbortController();

describe('watchers in a process of their own', () => {
  let resources: AsyncDisposableStack;
  let service: ServiceProcess;
  let watchers: Watchers;
  let students: string[];

  beforeEach(async () => {
    resources = new AsyncDisposableStack();
    const database = await sqlite.create();
    resources.defer(() => database.drop());
    service = await startProcess(database.url);
    resources.defer(() => service.stop());
    watchers = startWatchers(resources);
    students = await Promise.all([newStudent(service.client), newStudent(service.client)]);
  });
  afterEach(() => resources.disposeAsync());

  const address = () => new URL(service.grpcUrl).host;

  it('are told of what concerns them, and how late', async () => {
    await watchers.watch(address(), [...students, '']);
    await newIep(service.client, students[0]!);
    await newIep(service.client, students[1]!);
    await watchers.told(4, signal);
    await watchers.stop();
    const latencies = await watchers.latencies();
    expect(latencies).toHaveLength(4);
    latencies.forEach((latency) => {
      expect(latency).toBeGreaterThanOrEqual(0);
      expect(latency).toBeLessThan(10_000);
    });
  });

  it('count from the start of each watch', async () => {
    for (const versions of [2, 1]) {
      await watchers.watch(address(), [students[0]!]);
      for (let version = 0; version < versions; version++) {
        await newIep(service.client, students[0]!);
      }
      await expect(watchers.told(versions, signal)).resolves.toBeUndefined();
      await watchers.stop();
    }
  });

  it('make the run invalid when they are told of more than there is', async () => {
    await watchers.watch(address(), ['', '']);
    await newIep(service.client, students[0]!);
    await watchers.told(2, signal);
    await expect(watchers.told(1, signal)).rejects.toThrow(
      new InvalidRun('the watchers were told of 2 changes instead of 1'),
    );
  });

  it('make the run invalid when a watch ends before they end it', async () => {
    await watchers.watch(address(), ['']);
    await service.stop();
    await expect(watchers.told(1, signal)).rejects.toThrow(/^a watch ended: /);
  });

  it('make the run invalid when they cannot begin', async () => {
    await expect(watchers.watch(address(), ['no-uuid'])).rejects.toThrow(InvalidRun);
  });
});
