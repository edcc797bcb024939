import { serialize } from 'pg-protocol'
import { expect, test } from 'vitest'
import { bindRuns } from './bind-runs.ts'

test('runs are bound byte by byte as the driver binds each', () => {
  const runs = [['1', null, 'ação 漢字 🙂', ''], [], [Buffer.from([0, 255, 1]), 'x'.repeat(100_000)]]
  const asDriver = runs.map((values) => Buffer.concat([serialize.bind({ values }), serialize.execute()]))
  expect(bindRuns(runs).equals(Buffer.concat(asDriver))).toBe(true)
  expect(bindRuns([])).toHaveLength(0)
})
