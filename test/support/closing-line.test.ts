import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const closingLine = join(import.meta.dirname, 'closing-line.ts')

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esteira-closing-line-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

/** Runs test files as a project of their own; the exit code and the last line of the output. */
const run = (files: Record<string, string>, more = ''): { code: number | null; last: string | undefined } => {
  writeFileSync(
    join(folder, 'vitest.config.ts'),
    `import { closingLine } from ${JSON.stringify(closingLine)}
     export default { test: { globals: true, ${more} reporters: ['default', closingLine()] } }`,
  )
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const { status, stdout } = spawnSync(process.execPath, [vitest, 'run', '--root', folder], { encoding: 'utf8' })
  return { code: status, last: stdout.trimEnd().split('\n').at(-1) }
}

const passing = `test('passes', () => {})\n`

test('tests are counted over all files', () => {
  expect(run({ 'a.test.ts': passing, 'b.test.ts': `${passing}test.skip('is skipped', () => {})` })).toEqual({
    code: 0,
    last: '2 passed, 0 failed, 1 skipped',
  })
}, 20_000)

test('what keeps tests from being run counts as failed', () => {
  const files = {
    'fails.test.ts': `${passing}test('fails', () => { expect(1).toBe(2) })`,
    'does-not-load.test.ts': `throw new Error('broken')`,
    'hook.test.ts': `describe('with a hook', () => { beforeAll(() => { throw new Error('broken') }); ${passing} })`,
    'unhandled.test.ts': `${passing}test('leaves an error behind', () => { void Promise.reject(new Error('lost')) })`,
  }
  expect(run(files)).toEqual({ code: 1, last: '3 passed, 4 failed, 1 skipped' })
}, 20_000)

test('a run that could not be set up has failed', () => {
  writeFileSync(join(folder, 'setup.ts'), `export const setup = () => { throw new Error('no services') }`)
  const { code, last } = run({ 'a.test.ts': passing }, `globalSetup: './setup.ts',`)
  expect({ code, last }).toEqual({ code: 1, last: '0 passed, 1 failed' })
}, 20_000)
