import { ConfigError, readConfig } from './config.ts';
import { createLog } from './log.ts';
import { greeting } from './server/greeting.ts';
import { startService } from './server/service.ts';

const PARENT_CHECK_MS = 500;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const service = await startService(config, createLog(config.logLevel));
  console.log(greeting(config.host, service));

  let stopping = false;
  const stop = () => {
    if (stopping) {
      // Asked twice: whoever asks is in a hurry.
      process.exit(1);
    }
    stopping = true;
    void service.stop().then(() => process.exit(0));
  };
  (['SIGTERM', 'SIGINT', 'SIGHUP'] as const).forEach((signal) => process.on(signal, stop));
  if (process.env['npm_lifecycle_event'] !== undefined) {
    whenOrphaned(stop);
  }
}

/** npm passes signals on, but for those that end it at once; what it started would then keep the ports. */
function whenOrphaned(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(timer);
      stop();
    }
  }, PARENT_CHECK_MS).unref();
}

function startupProblem(error: unknown): string {
  if (error instanceof ConfigError) {
    return `The configuration is wrong:\n${error.message}`;
  }
  return `The service cannot start: ${error instanceof Error ? error.message : String(error)}`;
}

main().catch((error: unknown) => {
  console.error(startupProblem(error));
  process.exit(1);
});
