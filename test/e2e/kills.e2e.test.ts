import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { killUnderLoad } from '../kills/kill-under-load.ts'

test('relays, their broker and their database are killed under load, and nothing is lost, invented or overtaken', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-kills-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const said: string[] = []
  const result = await killUnderLoad({ dataDir, blows: 8, say: (line) => said.push(line) })
  expect(result, said.join(', ')).toMatchObject({ lost: [], invented: [], overtaken: [] })
  expect(result.committed).toBeGreaterThan(1_000)
}, 400_000)
