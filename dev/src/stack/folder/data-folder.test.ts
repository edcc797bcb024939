import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { StackEvent } from '../service.ts'
import { emptyDataFolder, openDataFolder } from './data-folder.ts'
import { choosePort } from './ports.ts'

let path: string
const events: StackEvent[] = []
const observe = (event: StackEvent) => void events.push(event)

beforeEach(() => {
  events.length = 0
  path = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-folder-')))
})

afterEach(() => rmSync(path, { recursive: true }))

test('passwords and ports are found again', async () => {
  const first = await openDataFolder(path, observe)
  const port = await choosePort(first, 'postgres', observe)
  const { password } = first.state()
  first.release()
  const second = await openDataFolder(path, observe)
  expect(await choosePort(second, 'postgres', observe)).toBe(port)
  expect(second.state().password).toBe(password)
  expect(events).toEqual([])
  second.release()
})

test('a port that a stranger has taken is given up for another, and that is said', async () => {
  const folder = await openDataFolder(path, observe)
  const port = await choosePort(folder, 'postgres', observe)
  const stranger = createServer()
  await new Promise<void>((resolve) => stranger.listen(port, '127.0.0.1', resolve))
  const other = await choosePort(folder, 'postgres', observe)
  expect(other).not.toBe(port)
  expect(events).toEqual([{ kind: 'port.moved', name: 'postgres', from: port, to: other }])
  stranger.close()
  folder.release()
})

test('two folders get different names for their nodes', async () => {
  const one = await openDataFolder(join(path, 'one'), observe)
  const two = await openDataFolder(join(path, 'two'), observe)
  expect(one.state().nodeName).not.toBe(two.state().nodeName)
  one.release()
  two.release()
})

test('passwords can be read by their owner only', async () => {
  const folder = await openDataFolder(path, observe)
  expect(statSync(join(path, 'stack.json')).mode & 0o077).toBe(0)
  folder.release()
})

test('emptying takes data, logs and passwords, and leaves the stack of another folder inside', async () => {
  const outer = await openDataFolder(path, observe)
  const inner = await openDataFolder(join(path, 'test'), observe)
  const { password } = outer.state()
  for (const name of ['postgres', 'logs', 'test/postgres']) {
    mkdirSync(join(path, name), { recursive: true })
    writeFileSync(join(path, name, 'something'), '')
  }
  emptyDataFolder(outer)
  expect(['postgres', 'logs/something', 'test/postgres/something'].map((name) => existsSync(join(path, name)))).toEqual(
    [false, false, true],
  )
  expect(outer.state().password).not.toBe(password)
  inner.release()
  outer.release()
})

test.each(['letter.txt', 'locksmith.txt', 'postgres'])(
  'a folder that holds %s and no state is refused and left as it was',
  async (name) => {
    mkdirSync(join(path, name))
    await expect(openDataFolder(path, observe)).rejects.toMatchObject({
      code: 'folder_foreign',
      message: expect.stringContaining(`${path} holds something else, ${name}; `),
    })
    expect(readdirSync(path)).toEqual([name])
  },
)

test('what a start that was killed at once has left is taken, and so is a folder with a stack of its own inside', async () => {
  for (const name of ['lock.4711', 'stack.json.new']) writeFileSync(join(path, name), '')
  const inner = await openDataFolder(join(path, 'test'), observe)
  const outer = await openDataFolder(path, observe)
  outer.release()
  inner.release()
})

test('a state that is not ours is not touched', async () => {
  writeFileSync(join(path, 'stack.json'), '{"format":"something else"}')
  await expect(openDataFolder(path, observe)).rejects.toThrow(/stack\.json is not the state of a local stack/)
})

test('a folder that cannot be made or written to is told, with where and why', async () => {
  const file = join(path, 'file')
  writeFileSync(file, '')
  const refused = (wanted: string, message: string) =>
    expect(openDataFolder(wanted, observe)).rejects.toThrow(
      expect.objectContaining({ code: 'folder_unusable', message: expect.stringContaining(message) }),
    )
  await refused(file, `${file} is not a folder`)
  await refused(join(file, 'data'), `${file} is not a folder`)
  // Not even root writes there; /proc says of a folder in it that it is not there, though its parent is.
  if (existsSync('/proc/self')) await refused('/proc/data', '/proc/data cannot be made')
  if (existsSync('/sys/kernel')) await refused('/sys/kernel', '/sys/kernel cannot be written to')
  const made = await openDataFolder(join(path, 'new', 'data'), observe)
  made.release()
})
