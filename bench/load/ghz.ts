/** ghz, the load generator, as a child process. It exits 0 when every call failed, so nothing here goes by its exit code alone. */
import { execFile } from 'node:child_process';
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { sizeDelimitedEncode } from '@bufbuild/protobuf/wire';
import { z } from 'zod';
import { IEPService } from '../../src/gen/iep/v1/iep_service_pb.ts';
import { findExecutable } from '../executable.ts';
import { messageOf } from '../format.ts';
import { InvalidRun } from '../invalid-run.ts';
import { type Call, isSuccess } from './statistics.ts';

const execute = promisify(execFile);

export const GHZ_MISSING =
  'ghz is missing, the load generator of the benchmarks: go install github.com/bojand/ghz/cmd/ghz@v0.121.0';

/** How long ghz waits for an answer, where nothing else is said. */
export const CALL_TIMEOUT_MS = 20_000;

/** On the PATH, or where `go install` puts it. */
export function findGhz(): Promise<string | undefined> {
  return findExecutable('ghz', goFolders);
}

async function goFolders(): Promise<string[]> {
  const home = path.join(homedir(), 'go', 'bin');
  try {
    const { stdout } = await execute('go', ['env', 'GOBIN', 'GOPATH']);
    const [gobin = '', gopath = ''] = stdout.split('\n');
    const bins = gopath.split(path.delimiter).map((folder) => folder && path.join(folder, 'bin'));
    return [gobin, ...bins, home].filter((folder) => folder !== '');
  } catch {
    // Without Go there may still be a ghz that was put there.
    return [home];
  }
}

export interface LoadOrder {
  readonly address: string;
  /** Like `iep.v1.IEPService/CreateIep`; reflection tells ghz the rest. */
  readonly method: string;
  /** One request, or several that take turns. Those without ghz's template actions cost it least. */
  readonly data: object;
  /** How many calls, or for how long: a call that has begun by then is waited for. */
  readonly amount: { readonly calls: number } | { readonly seconds: number };
  readonly concurrency: number;
  /**
   * Calls per second. Without it the loop is closed: each caller waits for its answer before it calls again. With it the
   * loop is open: a call begins when its time has come, so that a slow answer shows in every call that waits behind it.
   */
  readonly rate?: number;
  /** How long a caller waits for its answer. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

export async function runGhz(ghz: string, order: LoadOrder): Promise<Call[]> {
  await using folder = await mkdtempDisposable(path.join(tmpdir(), 'iep-ghz-'));
  const data = path.join(folder.path, 'data');
  const output = path.join(folder.path, 'report.json');
  const encoded = encodeRequests(order);
  await writeFile(data, encoded ?? JSON.stringify(order.data));
  const args = [
    '--insecure',
    `--call=${order.method}`,
    encoded === undefined ? `--data-file=${data}` : `--binary-file=${data}`,
    // Its own variables, like a UUID, work without them; with them each call costs ghz more.
    '--disable-template-functions',
    ...amountArguments(order.amount),
    `--concurrency=${order.concurrency}`,
    ...(order.rate === undefined ? [] : ['--async', `--rps=${order.rate}`]),
    `--timeout=${order.timeoutMs ?? CALL_TIMEOUT_MS}ms`,
    '--format=json',
    `--output=${output}`,
    order.address,
  ];
  try {
    // An empty environment has no proxy in it.
    await execute(ghz, args, { env: {}, signal: order.signal, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES });
  } catch (error) {
    throw new InvalidRun(`ghz failed to call ${order.method}: ${reasonOf(error, order.signal)}`, { cause: error });
  }
  return callsOf(await readFile(output, 'utf8'), order);
}

/**
 * Several requests of which ghz has nothing to fill in, each after its length. It reads them all before it begins. As JSON it
 * would read each in the first call that sends it, and a request that is sent once would cost it more than twice of others.
 */
function encodeRequests({ method, data }: Pick<LoadOrder, 'method' | 'data'>): Uint8Array | undefined {
  const input = IEPService.methods.find(({ name }) => method === `${IEPService.typeName}/${name}`)?.input;
  if (input === undefined || !Array.isArray(data) || JSON.stringify(data).includes('{{')) {
    return undefined;
  }
  return Buffer.concat(data.map((json: JsonValue) => sizeDelimitedEncode(input, fromJson(input, json))));
}

/** Never both: a duration cancels the number of calls. */
function amountArguments(amount: LoadOrder['amount']): string[] {
  return 'calls' in amount ? [`--total=${amount.calls}`] : [`--duration=${amount.seconds}s`, '--duration-stop=wait'];
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const MAX_REASON = 300;

/** What ghz said: of data that it cannot read it says so for every call, and quotes the data. */
function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) {
    const timeout = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
    return timeout ? 'the time limit of the scenario has passed' : messageOf(signal.reason);
  }
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = (stderr || messageOf(error)).replaceAll(/ Data: '.*?' Error:/gs, '');
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON)}…` : text;
}

const reportSchema = z.object({
  statusCodeDistribution: z.record(z.string(), z.number()),
  /** `latency` in nanoseconds; `timestamp` is the END of the call. Null when there was none. */
  details: z.array(z.object({ timestamp: z.iso.datetime({ offset: true }), latency: z.number(), status: z.string() })),
});

/** The single calls in ghz's report, if it is about the calls that were ordered. */
export function callsOf(json: string, { method, amount }: Pick<LoadOrder, 'method' | 'amount'>): Call[] {
  let report: z.infer<typeof reportSchema>;
  try {
    report = reportSchema.parse(JSON.parse(json));
  } catch (error) {
    throw new InvalidRun(`ghz's report on ${method} cannot be read`, { cause: error });
  }
  const calls = report.details.map(({ timestamp, latency, status }) => ({
    status,
    latencyMs: latency / 1e6,
    endMs: Date.parse(timestamp),
  }));
  const successes = calls.filter(isSuccess).length;
  const counted = report.statusCodeDistribution['OK'] ?? 0;
  const ordered = 'calls' in amount ? amount.calls : calls.length;
  if (calls.length !== ordered || successes !== counted) {
    throw new InvalidRun(
      `ghz's report on ${method} is about ${calls.length} calls instead of ${ordered}, ${successes} or ${counted} of them OK`,
    );
  }
  return calls;
}
