import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openRegistry } from './registry.ts'
import { sight } from './sighting.ts'

let folder: string
let file: string
let stranger: ChildProcess
let pid: number

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-registry-')))
  file = join(folder, 'processes.json')
  stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', 'a mark'], { detached: true })
  pid = stranger.pid ?? 0
})

afterEach(() => {
  stranger.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

const entry = () =>
  ({ name: 'one', role: 'service', pid, mark: 'a mark', stopSignal: 'SIGTERM', graceMs: 1_000 }) as const

const stopOrphans = async (of = folder): Promise<unknown[]> => {
  const stopped: unknown[] = []
  await openRegistry(file, of).stopOrphans((orphan) => stopped.push(orphan))
  return stopped
}

test('a process on record is stopped by the next start', async () => {
  openRegistry(file, folder).add(entry())
  expect(await stopOrphans()).toEqual([{ name: 'one', pid }])
  expect(sight(pid)).toBeUndefined()
  expect(await stopOrphans()).toEqual([])
})

test('a process that was taken off the record is left alone', async () => {
  const registry = openRegistry(file, folder)
  registry.add(entry())
  registry.remove(pid)
  expect(await stopOrphans()).toEqual([])
  expect(sight(pid)).toBeDefined()
})

test('a stranger that got the pid of a recorded process is left alone', async () => {
  openRegistry(file, folder).add(entry())
  const started = sight(pid)?.started ?? ''
  writeFileSync(file, readFileSync(file, 'utf8').replace(started, `${started}0`))
  expect(await stopOrphans()).toEqual([])
  expect(sight(pid)).toBeDefined()
})

test('a process with another command line is left alone', async () => {
  openRegistry(file, folder).add({ ...entry(), mark: 'another mark' })
  expect(await stopOrphans()).toEqual([])
  expect(sight(pid)).toBeDefined()
})

test('a record that came along with a copy of the folder is not followed', async () => {
  openRegistry(file, folder).add(entry())
  expect(await stopOrphans('/somewhere/else')).toEqual([])
  expect(sight(pid)).toBeDefined()
})
