import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sight } from '../../processes/sighting.ts'
import { removeDeadLockFile } from './dead-lock-file.ts'

let data: string
let file: string
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'esteira-lock-file-'))
  file = join(data, 'postmaster.pid')
})
afterEach(() => rmSync(data, { recursive: true }))

test('the lock file of a process that is dead, but listed since its parent has not asked for its end, is removed', async () => {
  // The first sleep becomes the child of the second one, which never asks.
  const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid] = await once(createInterface(parent.stdout), 'line')
  try {
    await vi.waitFor(() => expect(sight(Number(pid))).toBeUndefined())
    expect(() => process.kill(Number(pid), 0), 'it is listed').not.toThrow()
    writeFileSync(file, `${pid}\n${data}\n`)
    removeDeadLockFile(data)
    expect(existsSync(file)).toBe(false)
  } finally {
    parent.kill('SIGKILL')
  }
})

test('the lock file of a process that runs stays', () => {
  writeFileSync(file, `${process.pid}\n${data}\n`)
  removeDeadLockFile(data)
  expect(existsSync(file)).toBe(true)
})

test('without a lock file there is nothing to do', () => {
  expect(() => removeDeadLockFile(data)).not.toThrow()
})
