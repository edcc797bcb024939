import { defineConfig } from 'vitest/config'
import { closingLine } from './test/support/closing-line.ts'
import { keepCompiled } from './test/support/compile-cache.ts'

const outside = ['**/node_modules/**', '**/.esteira/**']
const globalSetup = './test/support/global-setup.ts'

keepCompiled()

export default defineConfig({
  test: {
    reporters: ['default', closingLine()],
    // Two files at a time: the services that they use need cores as well.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...outside, '**/*.{integration,e2e,kube,cluster,chart}.test.ts'],
          testTimeout: 5_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['**/*.integration.test.ts'],
          exclude: outside,
          globalSetup,
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
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
