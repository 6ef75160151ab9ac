import { z } from 'zod';
import { LOG_LEVELS } from './log.ts';

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^[0-9]+$/, `takes a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `takes a whole number from ${min} to ${max}`);
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, `takes ${values.join(' | ')}`);

const port = integer(0, 65_535);
const milliseconds = integer(1, 3_600_000);

/** Every variable that the service reads, with its default. */
const variables = z.object({
  HOST: z.string().default('127.0.0.1'),
  GRPC_PORT: port.default(50051),
  HTTP_PORT: port.default(8080),
  DATABASE_URL: z
    .string()
    .regex(/^(sqlite:.+|postgres(ql)?:\/\/.+)$/, 'takes sqlite:FILE, sqlite::memory: or postgresql://…')
    .default('sqlite:./data/iep.db'),
  POOL_SIZE: integer(1, 1000).default(10),
  VERSION_LOCK: oneOf(['advisory', 'row', 'none']).default('advisory'),
  MIGRATE: oneOf(['auto', 'off']).optional(),
  AUTH_MODE: oneOf(['none']).optional(),
  LOG_LEVEL: oneOf(LOG_LEVELS).default('info'),
  DEADLINE_DEFAULT_MS: milliseconds.default(30_000),
  DEADLINE_MAX_MS: milliseconds.default(300_000),
  DRAIN_DELAY_MS: integer(0, 600_000).default(2000),
  SHUTDOWN_GRACE_MS: integer(0, 600_000).default(30_000),
});

/** What a process takes from its environment; the README has the table. */
export const VARIABLES = Object.keys(variables.shape);

/** Values that must not be repeated in an error: they hold passwords. */
const SECRET = ['DATABASE_URL'];

export class ConfigError extends Error {}

export type Config = ReturnType<typeof readConfig>;

/** Reads the configuration from environment variables; a ConfigError names every bad one. An empty one is not set. */
export function readConfig(env: Readonly<Record<string, string | undefined>>) {
  const set = Object.fromEntries(VARIABLES.filter((name) => env[name]).map((name) => [name, env[name]]));
  const { data, error } = variables.safeParse(set);
  if (error) {
    const lines = error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      return SECRET.includes(name) ? `${name} ${message}` : `${name} ${message}, not "${set[name]}"`;
    });
    throw new ConfigError(lines.join('\n'));
  }
  if (data.AUTH_MODE === undefined && !LOOPBACK.includes(data.HOST)) {
    throw new ConfigError(
      `HOST "${data.HOST}" is not on loopback: set AUTH_MODE=none to let everybody who reaches it in, or HOST=127.0.0.1`,
    );
  }
  return Object.freeze({
    host: data.HOST,
    grpcPort: data.GRPC_PORT,
    httpPort: data.HTTP_PORT,
    databaseUrl: data.DATABASE_URL,
    poolSize: data.POOL_SIZE,
    versionLock: data.VERSION_LOCK,
    migrate: data.MIGRATE ?? (data.DATABASE_URL.startsWith('sqlite:') ? 'auto' : 'off'),
    logLevel: data.LOG_LEVEL,
    deadlines: { defaultMs: data.DEADLINE_DEFAULT_MS, maxMs: data.DEADLINE_MAX_MS },
    drainDelayMs: data.DRAIN_DELAY_MS,
    shutdownGraceMs: data.SHUTDOWN_GRACE_MS,
  });
}
