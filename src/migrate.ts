/** `npm run migrate`: brings the schema of DATABASE_URL up to date. */
import { readConfig } from './config.ts';
import { migrate } from './persistence/migrate.ts';

try {
  await migrate(readConfig(process.env).databaseUrl);
  console.log('The schema is up to date.');
} catch (error) {
  console.error(`The schema could not be migrated: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
