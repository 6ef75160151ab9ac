import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CommitProxy {
  readonly url: string;
  /** Lets the next COMMIT through and keeps its answer: the connection is cut, or stays silent until `close`. */
  loseAnswer(how: 'cut' | 'silence'): void;
  /** Ends all connections; new ones go through. */
  endConnections(): void;
  close(): void;
}

/** Passes bytes between the service and PostgreSQL, and can lose the answer to a COMMIT. */
export async function openCommitProxy(databaseUrl: string): Promise<CommitProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let lose: 'cut' | 'silence' | undefined;
  const proxy = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    [client, upstream].forEach((socket) => sockets.add(socket.on('error', () => undefined)));
    upstream.pipe(client);
    client.on('end', () => upstream.end());
    client.on('data', (chunk: Buffer) => {
      upstream.write(chunk);
      if (lose !== undefined && chunk.includes('commit\0')) {
        const cut = lose === 'cut';
        lose = undefined;
        upstream.unpipe(client);
        // PostgreSQL answers, so it has committed.
        upstream.once('data', () => cut && [client, upstream].forEach((socket) => socket.destroy()));
        upstream.resume();
      }
    });
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const url = new URL(databaseUrl);
  url.port = `${(proxy.address() as AddressInfo).port}`;
  const endConnections = () => sockets.forEach((socket) => socket.destroy());
  return {
    url: url.href,
    loseAnswer: (how) => void (lose = how),
    endConnections,
    close() {
      proxy.close();
      endConnections();
    },
  };
}
