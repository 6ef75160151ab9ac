/** The floor: what PostgreSQL does for the same job when it is asked the way an ORM asks, without a service between. */
import path from 'node:path';
import { brokenChains, createFloorTables, countVersions } from './tables.ts';
import { InvalidRun } from '../invalid-run.ts';
import type { Server } from '../target/server.ts';
import { runPgbench } from './pgbench.ts';

export interface FloorOrder {
  /** 1 is hot: every client wants the same chain. */
  readonly chains: number;
  /** What each version holds, as JSON. */
  readonly document: string;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export const FLOOR_CLIENTS = 32;
const WARM_UP_SECONDS = 1;
const SCRIPT = path.join(import.meta.dirname, 'create-iep.sql');

/** Creations per second. Throws an InvalidRun when the versions are not what they must be: then the floor cheats. */
export async function measureFloor(server: Server, pgbench: string, order: FloorOrder): Promise<number> {
  await using resources = new AsyncDisposableStack();
  const database = await server.createDatabase(resources);
  await createFloorTables(database, order.chains, order.document);
  const run = (seconds: number) =>
    runPgbench(pgbench, {
      databaseUrl: database.url,
      script: SCRIPT,
      variables: { students: String(order.chains), document: order.document },
      clients: FLOOR_CLIENTS,
      seconds,
      signal: order.signal,
    });
  await run(WARM_UP_SECONDS);
  const before = await countVersions(database);
  const { transactions, transactionsPerSecond } = await run(order.seconds);
  const added = (await countVersions(database)) - before;
  const broken = await brokenChains(database);
  if (added !== transactions || broken > 0) {
    throw new InvalidRun(
      `the floor is void: ${transactions} transactions added ${added} versions, and ${broken} chains are not 1 to N`,
    );
  }
  return transactionsPerSecond;
}
