/** Things that only make sense at once. */

/** Runs all at once. The first that fails ends the others, and is what is thrown, after all have ended. */
export async function runTogether<T>(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T[]> {
  const failed = new AbortController();
  const failures: unknown[] = [];
  const either = AbortSignal.any([signal, failed.signal]);
  const results = await Promise.allSettled(
    tasks.map(async (task) => {
      try {
        return await task(either);
      } catch (error) {
        failures.push(error);
        failed.abort();
        throw error;
      }
    }),
  );
  if (failures.length > 0) {
    throw failures[0];
  }
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}
