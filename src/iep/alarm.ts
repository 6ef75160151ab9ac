export interface Alarm {
  /** Rings in `ms` at the latest. */
  within(ms: number): void;
  stop(): void;
}

/** Calls `ring` once for all who asked before it was time. */
export function createAlarm(ring: () => void): Alarm {
  let timer: NodeJS.Timeout | undefined;
  let due = Infinity;

  function stop(): void {
    clearTimeout(timer);
    due = Infinity;
  }

  return {
    within(ms) {
      const time = performance.now() + ms;
      if (time < due) {
        clearTimeout(timer);
        due = time;
        timer = setTimeout(() => {
          due = Infinity;
          ring();
        }, ms);
      }
    },
    stop,
  };
}
