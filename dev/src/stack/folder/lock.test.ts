import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sight } from '../../processes/sighting.ts'
import { lockFolder } from './lock.ts'

let folder: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-lock-')))
})

afterEach(() => rmSync(folder, { recursive: true }))

const writeLock = (lock: object): void => writeFileSync(join(folder, 'lock'), JSON.stringify(lock))

test('a folder is taken once, and can be taken again when it was given back', () => {
  const release = lockFolder(folder)
  expect(() => lockFolder(folder)).toThrow(`${folder} is in use by process ${process.pid}; stop that one first`)
  release()
  lockFolder(folder)()
})

test('the lock of a process that was killed does not count', async () => {
  const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  const pid = holder.pid ?? 0
  const started = sight(pid)?.started
  writeLock({ folder, pid, started })
  expect(() => lockFolder(folder)).toThrow(expect.objectContaining({ code: 'folder_busy' }))
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  lockFolder(folder)()
})

test('the lock of a process whose pid belongs to another one now does not count', () => {
  writeLock({ folder, pid: process.pid, started: 'before the last boot' })
  const release = lockFolder(folder)
  expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({
    pid: process.pid,
    started: sight(process.pid)?.started,
  })
  release()
})

test('a lock that came along with a copy of the folder does not count', () => {
  writeLock({ folder: '/somewhere/else', pid: process.pid, started: sight(process.pid)?.started })
  lockFolder(folder)()
})
