import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startsApiServers } from '../index.ts'
import { meansOfRun } from '../setup/means.ts'
import { envWithGo, goPrograms, kubernetes } from './go-programs.ts'

test.runIf(startsApiServers())('sources of another checksum than go.sum has are not built', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-go-sum-'))
  const module = join(folder, 'module')
  cpSync(kubernetes.module, module, { recursive: true })
  const sums = readFileSync(join(module, 'go.sum'), 'utf8')
  // A small one, should it have to be fetched for this.
  const changed = sums.replace(/^(github\.com\/beorn7\/perks v1\.0\.1 h1:)[^A]/m, '$1A')
  expect(changed).not.toBe(sums)
  writeFileSync(join(module, 'go.sum'), changed)
  const env = await envWithGo(meansOfRun(), kubernetes.module)
  const means = { cache: join(folder, 'cache'), env, tell: () => undefined }
  const building = goPrograms(means, { ...kubernetes, module, packages: ['github.com/beorn7/perks/quantile'] })
  await expect(building).rejects.toThrow('checksum mismatch')
  rmSync(folder, { recursive: true })
})
