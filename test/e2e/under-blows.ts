import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Trial, TrialOptions } from '../kills/trial.ts'

/** Gives a trial's figures; expects that nothing is wrong in the end, and says with it the blows that led to it. */
export const underBlows = async (
  trial: (options: TrialOptions) => Promise<Trial>,
  blows: number,
): Promise<Trial['figures']> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-kills-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const seed = randomInt(2 ** 32)
  const said: string[] = []
  const { figures, faults } = await trial({ dataDir, blows, seed, say: (line) => said.push(line) })
  const found = Object.entries(faults).filter(([, of]) => of.length > 0)
  expect(found, `seed ${seed}, ${said.join(', ')}`).toEqual([])
  return figures
}
