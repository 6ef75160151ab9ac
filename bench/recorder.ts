/** Collects the outcomes of a run, and says each as soon as it is there. */
import type { Figure } from './figure.ts';
import { messageOf } from './format.ts';
import { type Outcome, progressLine } from './outcome.ts';
import type { DatabaseName } from './target/server.ts';

interface Subject {
  readonly database: DatabaseName;
  readonly name: string;
}

export interface Recorder {
  readonly outcomes: Outcome[];
  add(outcome: Outcome): void;
  /** What `measure` throws makes its outcome invalid, and undefined is answered. After an interruption nothing is measured. */
  record<T extends { readonly figures: readonly Figure[] }>(
    subject: Subject,
    measure: () => Promise<T>,
  ): Promise<T | undefined>;
}

export function createRecorder(signal: AbortSignal): Recorder {
  const outcomes: Outcome[] = [];
  function add(outcome: Outcome): void {
    if (signal.aborted) {
      // What an interruption broke is no news.
      return;
    }
    outcomes.push(outcome);
    console.log(progressLine(outcome));
  }
  return {
    outcomes,
    add,
    async record(subject, measure) {
      if (signal.aborted) {
        return undefined;
      }
      try {
        const measured = await measure();
        add({ ...subject, ...measured });
        return measured;
      } catch (error) {
        add({ ...subject, invalid: messageOf(error) });
        return undefined;
      }
    },
  };
}
