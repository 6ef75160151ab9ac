import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgresql.ts'],
    reporters: ['default', './test/support/plain-summary.ts'],
    // Suites share two cores and one PostgreSQL; side by side they would time each other out.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: { provider: 'v8', include: ['src/**'], exclude: ['src/gen/**'], reporter: ['text-summary', 'html'] },
  },
});
