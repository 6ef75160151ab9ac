/** The service under test, on free ports, and real clients of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type Client, type Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { Writable } from 'node:stream';
import { readConfig } from '../../src/config.ts';
import { IEPService } from '../../src/gen/iep/v1/iep_service_pb.ts';
import { createLog } from '../../src/log.ts';
import { startService } from '../../src/server/service.ts';
import manifest from '../../package.json' with { type: 'json' };

export type IepClient = Client<typeof IEPService>;
type Environment = Record<string, string>;

export interface RunningService {
  readonly grpcUrl: string;
  readonly httpUrl: string;
  /** Native gRPC. */
  readonly client: IepClient;
  stop(): Promise<void>;
}

const QUICK: Environment = { GRPC_PORT: '0', HTTP_PORT: '0', DRAIN_DELAY_MS: '0', LOG_LEVEL: 'warn' };

export interface LogLines {
  readonly lines: Record<string, unknown>[];
}

/** Starts the service in this process. What it logs is kept in `log`. */
export async function startInProcess(
  databaseUrl: string,
  env: Environment = {},
): Promise<RunningService & { log: LogLines }> {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  const config = readConfig({ ...QUICK, DATABASE_URL: databaseUrl, ...env });
  const service = await startService(config, createLog(config.logLevel, sink));
  return {
    ...running(service.grpcPort, service.httpPort),
    log: { lines },
    stop: () => service.stop(),
  };
}

export interface ServiceProcess extends RunningService {
  readonly process: ChildProcess;
}

/** Starts the service as a process of its own, as `npm start` does. */
export async function startProcess(databaseUrl: string, env: Environment = {}): Promise<ServiceProcess> {
  const child = spawnMain({ ...QUICK, DATABASE_URL: databaseUrl, ...env });
  const output = await outputUntil(child, /JSON +http:\/\/127\.0\.0\.1:(\d+)/);
  const grpcPort = /gRPC +127\.0\.0\.1:(\d+)/.exec(output)?.[1];
  const httpPort = /JSON +http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1];
  return {
    ...running(Number(grpcPort), Number(httpPort)),
    process: child,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        await exited;
      }
    },
  };
}

/** How `npm start` starts Node, but for the file of a developer's own environment. */
const FLAGS = manifest.scripts.start.split(' ').filter((word) => /^--(?!env-file)/.test(word));

/** Runs `src/main.ts` with nothing in its environment but what is given. */
export function spawnMain(env: Environment): ChildProcess {
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  return spawn(process.execPath, [...FLAGS, main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

const START_LIMIT_MS = 30_000;

async function outputUntil(child: ChildProcess, pattern: RegExp): Promise<string> {
  let output = '';
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`the service ended with ${code ?? signal}: ${errors}`));
    });
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (pattern.test(output)) {
        clearTimeout(timer);
        resolve(output);
      }
    });
  });
}

function running(grpcPort: number, httpPort: number) {
  const grpcUrl = `http://127.0.0.1:${grpcPort}`;
  const httpUrl = `http://127.0.0.1:${httpPort}`;
  return { grpcUrl, httpUrl, client: createClient(IEPService, createGrpcTransport({ baseUrl: grpcUrl })) };
}

/** One client for each protocol that the service speaks. */
export function clientsOf({ grpcUrl, httpUrl }: RunningService): Record<string, IepClient> {
  const http = { baseUrl: httpUrl, httpVersion: '1.1' } as const;
  return {
    gRPC: createClient(IEPService, createGrpcTransport({ baseUrl: grpcUrl })),
    Connect: createClient(IEPService, createConnectTransport({ ...http, useBinaryFormat: true })),
    JSON: createClient(IEPService, createConnectTransport({ ...http, useBinaryFormat: false })),
    'gRPC-Web': createClient(IEPService, createGrpcWebTransport({ ...http, useBinaryFormat: true })),
  };
}

/** The error of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError & { code: Code }> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  if (error === undefined) {
    throw new Error('the call succeeded');
  }
  return error;
}
