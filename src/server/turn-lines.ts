import { createPaceGauge, foreseenMs } from '../persistence/delay.ts';

export interface Queued {
  /** In milliseconds since 1970. */
  readonly queuedAt: number;
}

/** Lines of those who wait, one for each client. Clients take turns. */
export function createTurnLines<Waiting extends Queued>() {
  /** In the order in which it is their turn. */
  const lines = new Map<unknown, Waiting[]>();
  const pace = createPaceGauge();

  return {
    isEmpty: () => lines.size === 0,

    /** How long a call of the client would wait, about: clients take turns, so one without a line waits for one of each. */
    waitMs(client: unknown): number {
      const own = lines.get(client);
      const [longest] = lines.values();
      if (longest === undefined) {
        return 0;
      }
      const place = (own?.length ?? 0) + 1;
      const before = lines.values().reduce((calls, line) => calls + Math.min(line.length, place), 0);
      return foreseenMs(before, pace.read(), Date.now() - (own ?? longest)[0]!.queuedAt);
    },

    add(client: unknown, waiting: Waiting): void {
      if (lines.size === 0) {
        pace.begin();
      }
      const line = lines.get(client);
      if (line === undefined) {
        lines.set(client, [waiting]);
      } else {
        line.push(waiting);
      }
    },

    /** Whose turn it is. */
    take(): Waiting | undefined {
      const [first] = lines;
      if (first === undefined) {
        return undefined;
      }
      const [client, line] = first;
      const next = line.shift();
      if (line.length === 0) {
        lines.delete(client);
      } else if (lines.size > 1) {
        lines.delete(client);
        lines.set(client, line);
      }
      pace.note(1);
      return next;
    },
  };
}
