import { globSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { closingLine } from './test/support/closing-line.ts'
import { keepCompiled } from './test/support/compile-cache.ts'
import { LongestFirst } from './test/support/longest-first.ts'

const outside = ['**/node_modules/**', '**/.esteira/**']
const globalSetup = './test/support/global-setup.ts'

/** One more at a time: two leave a third of two cores unused, since most wait, for a service or for a time to pass. */
const integration = {
  globalSetup,
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  sequence: { groupOrder: 1 },
}

/** OpenTelemetry is started once in a process and for good, so that a file that does it gets a process of its own. */
const traced = globSync('{control-plane,lib,sidecar,workers}/**/*.test.ts', { exclude: ['**/node_modules/**'] }).filter(
  (file) => readFileSync(file, 'utf8').includes('@esteira/test/traces'),
)

keepCompiled()

export default defineConfig({
  test: {
    reporters: ['default', closingLine()],
    // Two files at a time: the services that they use need cores as well.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...outside, ...traced, '**/*.{integration,e2e,kube,cluster,chart}.test.ts'],
          testTimeout: 5_000,
          // To load the modules anew for each file takes longer than most tests.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'unit-traced',
          include: traced,
          exclude: ['**/*.integration.test.ts'],
          testTimeout: 5_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['**/*.integration.test.ts'],
          exclude: [...outside, ...traced],
          isolate: false,
          ...integration,
        },
      },
      {
        test: {
          name: 'integration-traced',
          include: traced.filter((file) => file.endsWith('.integration.test.ts')),
          ...integration,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.e2e.test.ts'],
          exclude: outside,
          globalSetup,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
