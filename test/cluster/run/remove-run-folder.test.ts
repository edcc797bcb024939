import { existsSync, mkdtempSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { removeRunFolder } from './remove-run-folder.ts'

// Elsewhere the order in which files went is not told.
test.runIf(process.platform === 'linux')('of all that is in the folder of a run its lock goes last', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-removed-'))
  const names = ['lock', ...Array.from({ length: 50 }, (_, index) => `log ${index}`)]
  for (const name of names) writeFileSync(join(folder, name), '')
  const gone: (string | null)[] = []
  const watcher = watch(folder, (_, name) => void gone.push(name))
  onTestFinished(() => watcher.close())
  removeRunFolder(folder)
  await waitFor(() => gone.includes('lock'), { describe: 'the end of the lock' })
  expect(gone.indexOf('lock')).toBe(names.length - 1)
  expect(existsSync(folder)).toBe(false)
})
