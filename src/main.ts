import { ConfigError, readConfig } from './config.ts';
import { createLog } from './log.ts';
import { SchemaError, startService } from './server/service.ts';
import { greeting } from './server/greeting.ts';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  const service = await startService(config, log);
  console.log(greeting(config.host, service));

  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) {
        // Asked twice: whoever asks is in a hurry.
        process.exit(1);
      }
      stopping = true;
      void service.stop().then(() => process.exit(0));
    });
  }
}

main().catch((error: unknown) => {
  console.error(startupProblem(error));
  process.exit(1);
});

function startupProblem(error: unknown): string {
  if (error instanceof ConfigError) {
    return `The configuration is wrong:\n${error.message}`;
  }
  if (error instanceof SchemaError) {
    return `The service cannot work with this schema: ${error.message}`;
  }
  return `The service cannot start: ${error instanceof Error ? error.message : String(error)}`;
}
