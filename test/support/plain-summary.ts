import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with one plain line, for people and scripts alike. */
export default class PlainSummary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        count[test.result().state]++;
      }
      // A module that could not be loaded, and a hook that failed, have no test that says so.
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) {
        count.failed += suite.errors().length;
      }
    }
    const { passed, failed, skipped, pending } = count;
    process.on('exit', () => console.log(`Tests: ${passed} passed, ${failed} failed, ${skipped + pending} skipped`));
  }
}
