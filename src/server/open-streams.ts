/** How long a client has to read the end of a stream, or of a connection, when the service shuts down. */
export const LAST_WORDS_MS = 1000;

interface Closable {
  once(event: 'close', listener: () => void): unknown;
}

/**
 * The streams of answers that are open. A client that does not read must not hold up the end of the service: its streams
 * are cut, and those that stay open, as that does not get through to a client that has stopped, lose their connection.
 */
export function createOpenStreams<Stream extends Closable>(cut: (stream: Stream) => void, disconnect = cut) {
  const open = new Set<Stream>();
  return {
    add(stream: Stream): void {
      open.add(stream);
      stream.once('close', () => open.delete(stream));
    },
    /** Leaves them a moment for their ends. */
    cutSoon(): void {
      setTimeout(() => open.forEach(cut), LAST_WORDS_MS).unref();
      setTimeout(() => open.forEach(disconnect), 2 * LAST_WORDS_MS).unref();
    },
  };
}
