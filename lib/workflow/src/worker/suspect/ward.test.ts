import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { Death } from './describe-death.ts'
import { openWard } from './ward.ts'

const program = fileURLToPath(new URL('../../../test/ward-with-heir.ts', import.meta.url))

const soon = { timeout: 20_000, interval: 20 }

test('a ward dies once, and what is said in its name after that is not heard', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ward-'))
  const file = join(folder, 'go')
  onTestFinished(() => rm(folder, { recursive: true }))
  const deaths: Death[] = []
  const heard: string[] = []
  openWard(
    { path: program, args: [file], execArgv: [], env: { PATH: process.env['PATH'] } },
    { heapMiB: 64, mostMiB: 320, stallMs: 60_000 },
    { worker: 'worker', lane: 1 },
    {
      ready: () => heard.push('ready'),
      begun: () => heard.push('begun'),
      filled: () => heard.push('filled'),
      called: () => heard.push('called'),
      gave: () => heard.push('gave'),
      answered: () => heard.push('answered'),
      died: (death) => deaths.push(death),
    },
  )
  await expect.poll(() => deaths.length, soon).toBe(1)
  await writeFile(file, '')
  await expect.poll(() => existsSync(`${file}.said`), soon).toBe(true)
  // Longer than what it said may take to arrive, after which its end is taken for certain once more.
  await delay(1_500)
  expect(heard).toEqual(['ready'])
  expect(deaths).toEqual([{ how: 'it ended with exit code 7', isOwn: true }])
})
