import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findWorkers } from './find-workers.ts'

test('a folder with a program is a worker, without a word about it elsewhere', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'workers-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const name of ['greet', 'cron-job', 'answer', 'begun']) {
    await mkdir(join(folder, name, 'src'), { recursive: true })
    if (name !== 'begun') await writeFile(join(folder, name, 'src/main.ts'), '')
  }
  await writeFile(join(folder, 'README.md'), '')
  expect(findWorkers(folder)).toEqual(['answer', 'greet'])
})
