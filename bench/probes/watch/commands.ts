/** What the process of the watchers is told to do, one command at a time, and what it answers. */

export type WatcherCommand =
  /** Begins a watch for each student id, the empty one being the whole district; answers when nothing will be missed. */
  | { readonly do: 'watch'; readonly address: string; readonly studentIds: readonly string[] }
  /** Answers how many changes came. */
  | { readonly do: 'count' }
  /** Answers how long each change was under way, in milliseconds. */
  | { readonly do: 'latencies' }
  /** Ends the watches. */
  | { readonly do: 'stop' };

export type WatcherAnswer =
  | { readonly count: number; readonly latenciesMs: readonly number[] }
  | { readonly failure: string };
