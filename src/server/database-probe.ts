import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../persistence/database.ts';

const INTERVAL_MS = 1000;
const LIMIT_MS = 500;
const FAILURES_DOWN = 3;
const SUCCESSES_UP = 2;

/** Asks the database for a sign of life every second and tells `onChange` when it goes or comes back, until `signal`. */
export async function probeDatabase(
  db: Database,
  signal: AbortSignal,
  onChange: (reachable: boolean) => void,
): Promise<void> {
  let reachable = true;
  let contrary = 0;
  while (!signal.aborted) {
    const answered = await answers(db);
    if (signal.aborted) {
      return;
    }
    contrary = answered === reachable ? 0 : contrary + 1;
    if (contrary >= (reachable ? FAILURES_DOWN : SUCCESSES_UP)) {
      reachable = !reachable;
      contrary = 0;
      onChange(reachable);
    }
    await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function answers(db: Database): Promise<boolean> {
  const limit = sleep(LIMIT_MS, false, { ref: false });
  return Promise.race([
    limit,
    db.ready().then(
      () => true,
      () => false,
    ),
  ]);
}
