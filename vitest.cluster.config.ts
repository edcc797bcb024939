import { defineConfig } from 'vitest/config'
import { closingLine } from './test/support/closing-line.ts'
import { keepCompiled } from './test/support/compile-cache.ts'
import { LongestFirst } from './test/support/longest-first.ts'

const exclude = ['**/node_modules/**', '**/.esteira/**']
const stack = './test/support/global-setup.ts'

/**
 * One builds a tree of the history, one has a node of its own for what ran on the other already, one takes five minutes.
 * `.ci/run`, which has 40 minutes for all, leaves them out.
 */
const long = ['given-cluster', 'keda', 'release-before'].map((name) => `test/cluster/scenarios/${name}.cluster.test.ts`)
const isShort = process.env['ESTEIRA_TEST_SHORT'] !== undefined

const killsKubelet = 'test/cluster/scenarios/kills.cluster.test.ts'

const onNode = {
  globalSetup: [stack, './test/cluster/setup/cluster.ts'],
  testTimeout: 300_000,
  hookTimeout: 300_000,
}

/** What waits most of its time, for images and a kubelet, or for one command after the other. */
const waiting = { maxWorkers: 3, sequence: { groupOrder: 0 } }

keepCompiled()

/** What runs against Kubernetes: `npm run test:cluster`. */
export default defineConfig({
  test: {
    reporters: ['default', closingLine((line) => process.stdout.write(`cluster: ${line}\n`))],
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'charts',
          include: ['**/*.chart.test.ts'],
          exclude,
          globalSetup: './test/cluster/setup/charts.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // What helm makes of the same values is rendered once a process, and not once a file.
          isolate: false,
          ...waiting,
        },
      },
      {
        test: {
          name: 'api',
          include: ['**/*.kube.test.ts'],
          exclude,
          globalSetup: [stack, './test/cluster/setup/api.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          ...waiting,
        },
      },
      {
        test: {
          name: 'images',
          include: ['images/**/*.cluster.test.ts'],
          exclude,
          globalSetup: [stack, './test/cluster/setup/charts.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...waiting,
        },
      },
      {
        test: {
          name: 'kubelet',
          include: [killsKubelet],
          exclude,
          ...onNode,
          // Beside those that need no node: a kubelet that comes up again takes every pod for not ready at first.
          ...waiting,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['**/*.cluster.test.ts'],
          exclude: [...exclude, 'images/**', killsKubelet, ...(isShort ? long : [])],
          ...onNode,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
