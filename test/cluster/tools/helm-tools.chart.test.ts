import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'

test('helm renders a chart, without anything of whoever runs it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-chart-'))
  const { helm } = inject('helmTools')
  const run = (...words: string[]) =>
    execFileSync(helm, words, { cwd: folder, env: { HOME: folder }, encoding: 'utf8' })
  run('create', 'sample')
  expect(run('template', 'release', 'sample')).toContain('app.kubernetes.io/instance: release')
  rmSync(folder, { recursive: true })
})
