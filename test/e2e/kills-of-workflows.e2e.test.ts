import { expect, test } from 'vitest'
import { killWorkflows } from '../kills/workflows/kill-workflows.ts'
import { underBlows } from './under-blows.ts'

test('everything is killed under runs, and each ends with each of its items once in each target', async () => {
  const { runs, looks } = await underBlows(killWorkflows, 12)
  expect(runs).toBeGreaterThanOrEqual(3)
  expect(looks).toBeGreaterThan(10)
}, 600_000)
