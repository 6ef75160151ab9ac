/** The same messages; when they end with an error, what `replace` makes of it is thrown instead. */
export async function* withFailures<T>(
  messages: AsyncIterable<T>,
  replace: (error: unknown) => unknown,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw replace(error);
  }
}
