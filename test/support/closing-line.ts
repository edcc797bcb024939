import type { Reporter, TestModule, TestSuite } from 'vitest/node'

/**
 * Ends a run with one plain line, `12 passed, 0 failed, 1 skipped`, that anybody can count by. A file that does not
 * load, a hook that throws and an error outside of any test count as failed: they keep tests from being run.
 */
export const closingLine = (write: (line: string) => void = (line) => process.stdout.write(`${line}\n`)): Reporter => ({
  onTestRunEnd: (modules, unhandledErrors, reason) => {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    for (const module of modules) {
      counts.failed += brokenParts(module)
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        // A test that was never reached did not pass.
        if (state === 'pending') counts.failed += 1
        else counts[state] += 1
      }
    }
    // Nothing ran, or something broke that is none of the above: the services did not come up.
    if (counts.failed === 0 && (modules.length === 0 || reason !== 'passed')) counts.failed = 1
    write(describeCounts(counts))
  },
})

const describeCounts = ({ passed, failed, skipped }: { passed: number; failed: number; skipped: number }): string =>
  `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`

/** How many of a file and its suites have errors of their own. */
const brokenParts = (module: TestModule): number =>
  [module, ...module.children.allSuites()].filter((part: TestModule | TestSuite) => part.errors().length > 0).length
