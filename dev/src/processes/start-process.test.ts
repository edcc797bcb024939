import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openRegistry, startProcess, type ProcessEvent, type Registry, type StartedProcess } from './index.ts'
import { sight } from './sighting.ts'

const script = (name: string) => fileURLToPath(new URL(`./fixtures/${name}/main.ts`, import.meta.url))

let folder: string
let registry: Registry
let events: ProcessEvent[]
let started: StartedProcess[]

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-processes-')))
  registry = openRegistry(join(folder, 'processes.json'), folder)
  events = []
  started = []
})

afterEach(async () => {
  await Promise.all(started.map((process) => process.stop()))
  rmSync(folder, { recursive: true })
})

const start = (options: Partial<Parameters<typeof startProcess>[0]> = {}): StartedProcess => {
  const process = startProcess({
    name: 'program',
    script: script('program'),
    env: {},
    inherit: {},
    logFile: join(folder, 'program.log'),
    registry,
    observe: (event) => events.push(event),
    restart: true,
    ...options,
  })
  started.push(process)
  return process
}

const kinds = () => events.map(({ kind }) => kind)
const log = () => readFileSync(join(folder, 'program.log'), 'utf8')

test('a program is ready when it says so, and what it says is handed on', async () => {
  const process = start()
  expect(await process.ready).toMatchObject({ event: 'ready' })
  expect(kinds()).toEqual(['process.started', 'process.ready'])
})

test('a program sees its own environment and what is inheritable, nothing else', async () => {
  const machine = { PATH: '/usr/bin', HOME: '/nowhere', NODE_COMPILE_CACHE: folder, AWS_SECRET: 'secret' }
  const traces = { OTEL_TRACES_SAMPLER: 'always_on', OTEL_SERVICE_NAME: 'of whoever started it' }
  const process = start({ env: { OWN: '1' }, inherit: { ...machine, ...traces } })
  expect(await process.ready).toMatchObject({
    variables: ['HOME', 'NODE_COMPILE_CACHE', 'OTEL_TRACES_SAMPLER', 'OWN', 'PATH'],
  })
})

test('a program that is killed is started again, and its log goes on', async () => {
  const process = start()
  await process.ready
  const before = process.pid()
  process.kill('SIGKILL')
  await waitFor(() => kinds().filter((kind) => kind === 'process.ready').length === 2, { describe: () => events })
  expect(process.pid()).not.toBe(before)
  expect(events.find(({ kind }) => kind === 'process.exited')).toMatchObject({
    exit: { kind: 'ended', signal: 'SIGKILL' },
    restartInMs: 100,
  })
  expect(log().match(/"ready"/g)).toHaveLength(2)
})

test('a program that never gets ready is given up after some tries, with the end of its log', async () => {
  const process = start({ env: { BEHAVIOUR: 'fall' } })
  await expect(process.ready).rejects.toThrow(/program ended with code 1\n[^]*it falls at once/)
  const pauses = events.flatMap((event) => (event.kind === 'process.exited' ? [event.restartInMs] : []))
  expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, null])
}, 20_000)

test('a program whose environment is at fault is not started again', async () => {
  const process = start({ env: { BEHAVIOUR: 'misconfigured' } })
  await expect(process.ready).rejects.toThrow('program ended with code 2')
  expect(kinds()).toEqual(['process.started', 'process.exited'])
  expect(await process.exited).toEqual({ kind: 'ended', code: 2, signal: null })
})

test('a program that does not get ready in time is ended and started again', async () => {
  const process = start({ env: { BEHAVIOUR: 'stubborn' }, readyWithinMs: 1 })
  await waitFor(() => kinds().filter((kind) => kind === 'process.exited').length >= 2)
  expect(events.find(({ kind }) => kind === 'process.exited')).toMatchObject({ exit: { kind: 'mute' } })
  await process.stop()
})

test('stopping asks first, and may be done twice', async () => {
  const process = start()
  await process.ready
  await Promise.all([process.stop(), process.stop()])
  expect(await process.exited).toEqual({ kind: 'ended', code: 0, signal: null })
  expect(log()).toContain('asked to stop')
  expect(kinds()).toEqual(['process.started', 'process.ready', 'process.stopped'])
})

test('a program that does not stop is ended after its grace', async () => {
  const process = start({ env: { BEHAVIOUR: 'stubborn' }, graceMs: 100 })
  await process.ready
  await process.stop()
  expect(await process.exited).toEqual({ kind: 'ended', code: null, signal: 'SIGKILL' })
  expect(log()).toContain('asked to stop')
})

test('a program that cannot be started is an exit with the reason', async () => {
  const process = start({ logFile: join(folder, 'not', 'there.log'), restart: false })
  await expect(process.ready).rejects.toThrow(/program could not be started: ENOENT/)
  expect(await process.exited).toMatchObject({ kind: 'not started' })
})

test('a program whose supervisor is killed ends itself', async () => {
  const { program } = await killSupervisor('serve')
  await waitFor(() => sight(program) === undefined, { describe: 'the program to end' })
  expect(log()).toContain('asked to stop')
})

test('a program that outlives its supervisor is stopped by the next start', async () => {
  const { program } = await killSupervisor('stubborn')
  const recorded = readFileSync(join(folder, 'processes.json'), 'utf8')
  writeFileSync(join(folder, 'processes.json'), recorded.replace(/"graceMs": \d+/, '"graceMs": 100'))
  const orphans: unknown[] = []
  await openRegistry(join(folder, 'processes.json'), folder).stopOrphans((orphan) => orphans.push(orphan))
  expect(orphans).toEqual([{ name: 'program', pid: program }])
  expect(sight(program)).toBeUndefined()
})

const killSupervisor = async (behaviour: string): Promise<{ program: number }> => {
  const supervisor = start({
    name: 'supervisor',
    script: script('supervisor'),
    env: { FOLDER: folder, BEHAVIOUR: behaviour },
    logFile: join(folder, 'supervisor.log'),
    registry: openRegistry(join(folder, 'supervisor.json'), folder),
    restart: false,
  })
  const { pid } = await supervisor.ready
  supervisor.kill('SIGKILL')
  await supervisor.exited
  return { program: Number(pid) }
}
