import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { killRelays } from '../kills/relays/kill-relays.ts'
import type { Trial, TrialOptions } from '../kills/trial.ts'
import { killWorkflows } from '../kills/workflows/kill-workflows.ts'

/** Whatever is wrong in the end, with the blows that led to it. */
const under = async (trial: (options: TrialOptions) => Promise<Trial>, blows: number): Promise<Trial['figures']> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-kills-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const seed = randomInt(2 ** 32)
  const said: string[] = []
  const { figures, faults } = await trial({ dataDir, blows, seed, say: (line) => said.push(line) })
  const found = Object.entries(faults).filter(([, of]) => of.length > 0)
  expect(found, `seed ${seed}, ${said.join(', ')}`).toEqual([])
  return figures
}

test('relays, their broker and their database are killed or frozen under load, and nothing is lost, invented, overtaken or parked in vain, also where queues come late or are full', async () => {
  const { committed, parked, keysSetFree } = await under(killRelays, 8)
  expect(committed).toBeGreaterThan(1_000)
  expect(parked).toBeGreaterThan(0)
  expect(keysSetFree).toBeGreaterThan(0)
}, 500_000)

test('everything is killed under runs, and each ends with each of its items once in each target', async () => {
  const { runs, looks } = await under(killWorkflows, 12)
  expect(runs).toBeGreaterThanOrEqual(3)
  expect(looks).toBeGreaterThan(10)
}, 600_000)
