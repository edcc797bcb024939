import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startTickRunner, type TickEvent } from './tick-runner.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tick-runner-'))
})
afterEach(() => rm(folder, { recursive: true }))

const tick = { stepId: 'step-a', at: new Date('2026-03-10T09:00:00Z') }
const key = 'local/step-a/2026-03-10T09:00:00.000Z'

/** A program that writes a line with its environment to `started` and then does what `then` says. */
const setup = async (then: string, graceMs = 10_000, loadedMs?: number) => {
  const path = join(folder, 'program.mjs')
  const log = join(folder, 'started')
  await writeFile(
    path,
    `import { appendFileSync, readFileSync } from 'node:fs'
     appendFileSync(process.env.LOG, JSON.stringify(process.env) + '\\n')
     const starts = readFileSync(process.env.LOG, 'utf8').trim().split('\\n').length
     ${then}`,
  )
  await writeFile(log, '')
  const events: TickEvent[] = []
  const runner = startTickRunner({
    program: { path, env: { LOG: log, ESTEIRA_LANE: 'cron' } },
    graceMs,
    observe: (event) => events.push(event),
    pauseBefore: () => 5,
    ...(loadedMs !== undefined && { loadedMs }),
  })
  const starts = async (): Promise<Record<string, string>[]> =>
    (await readFile(log, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  const kinds = () => events.map(({ kind }) => kind)
  return { runner, events, kinds, starts }
}

test('the program gets the step, the key and its own environment, and nothing else of ours', async () => {
  const { runner, events, starts } = await setup('process.exit(0)')
  runner.fire(tick)
  await vi.waitFor(() => expect(events).toHaveLength(1), 10_000)
  expect(events).toEqual([{ kind: 'tick.fired', stepId: 'step-a', key, tries: 1, ms: expect.any(Number) }])
  const [env = {}] = await starts()
  expect(Object.keys(env).toSorted()).toEqual(['ESTEIRA_LANE', 'ESTEIRA_STEP_ID', 'ESTEIRA_TICK_KEY', 'LOG'])
  expect(env).toMatchObject({ ESTEIRA_STEP_ID: 'step-a', ESTEIRA_TICK_KEY: key })
  await runner.stop()
})

test('a program that fails is started again with the same key', async () => {
  const { runner, events, kinds, starts } = await setup('process.exit(starts < 3 ? 1 : 0)')
  runner.fire(tick)
  await vi.waitFor(() => expect(kinds()).toEqual(['tick.retried', 'tick.retried', 'tick.fired']), 10_000)
  expect(events[2]).toMatchObject({ tries: 3 })
  expect((await starts()).map((env) => env.ESTEIRA_TICK_KEY)).toEqual([key, key, key])
  await runner.stop()
})

test('a program that is killed is started again', async () => {
  const { runner, events, kinds } = await setup(`if (starts === 1) process.kill(process.pid, 'SIGKILL')`)
  runner.fire(tick)
  await vi.waitFor(() => expect(kinds()).toEqual(['tick.retried', 'tick.fired']), 10_000)
  expect(events[0]).toMatchObject({ code: null, signal: 'SIGKILL' })
  await runner.stop()
})

test('after six more tries a tick is given up', async () => {
  const { runner, events, kinds, starts } = await setup('process.exit(1)')
  runner.fire(tick)
  await vi.waitFor(() => expect(kinds()).toContain('tick.given-up'), 20_000)
  expect(events.at(-1)).toMatchObject({ tries: 7, code: 1, reason: null })
  expect(await starts()).toHaveLength(7)
  await runner.stop()
}, 30_000)

test.each([
  [2, 'its environment is not complete'],
  [12, 'the step was deleted'],
  [14, 'the payload does not fit the outputType; the run is there, with its failed job'],
  [16, 'the payload is too large'],
  [99, null],
])('exit code %i says that trying again cannot help', async (code, reason) => {
  const { runner, events, starts } = await setup(`process.exit(${code})`)
  runner.fire(tick)
  await vi.waitFor(() => expect(events).toHaveLength(1), 10_000)
  expect(events).toEqual([{ kind: 'tick.given-up', stepId: 'step-a', key, tries: 1, code, signal: null, reason }])
  expect(await starts()).toHaveLength(1)
  await runner.stop()
})

test('no more than four programs load at once, and all ticks get their turn', async () => {
  const { runner, kinds, starts } = await setup('setTimeout(() => {}, 200)')
  const ticks = Array.from({ length: 9 }, (_, minute) => ({
    stepId: `step-${minute}`,
    at: new Date(tick.at.getTime() + minute * 60_000),
  }))
  for (const one of ticks) runner.fire(one)
  let most = 0
  await vi.waitFor(
    async () => {
      most = Math.max(most, (await starts()).length - kinds().length)
      expect(kinds()).toHaveLength(9)
    },
    { timeout: 20_000, interval: 10 },
  )
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(4)
  expect(new Set((await starts()).map((env) => env.ESTEIRA_TICK_KEY)).size).toBe(9)
  await runner.stop()
}, 30_000)

/** Programs of such steps wait for this file, like those of a workflow that somebody holds locked. */
const waitForGo = () => {
  const go = join(folder, 'go')
  const program = `const { existsSync } = await import('node:fs')
    const isHeld = process.env.ESTEIRA_STEP_ID.startsWith('held')
    while (isHeld && !existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 10))`
  return { program, go: () => writeFile(go, '') }
}

const minutes = [0, 1, 2, 3, 4, 5].map((minute) => new Date(tick.at.getTime() + minute * 60_000))

test('ticks of a step that waits go one after the other, so that those of others have their places', async () => {
  const { program, go } = waitForGo()
  const { runner, events, starts } = await setup(program)
  for (const at of minutes) runner.fire({ stepId: 'held', at })
  runner.fire({ ...tick, stepId: 'free' })
  await vi.waitFor(() => expect(events).toMatchObject([{ kind: 'tick.fired', stepId: 'free' }]), 10_000)
  expect(await starts()).toHaveLength(2)
  await go()
  await vi.waitFor(() => expect(events).toHaveLength(7), 20_000)
  const keys = (await starts()).filter((env) => env.ESTEIRA_STEP_ID === 'held').map((env) => env.ESTEIRA_TICK_KEY)
  expect(keys).toEqual(minutes.map((at) => `local/held/${at.toISOString()}`))
  await runner.stop()
}, 30_000)

test('steps that wait, however many, leave the places of those that load, up to sixteen in all', async () => {
  const { program, go } = waitForGo()
  const { runner, events, starts } = await setup(program, 10_000, 50)
  for (let index = 0; index < 15; index += 1) runner.fire({ ...tick, stepId: `held-${index}` })
  runner.fire({ ...tick, stepId: 'free' })
  await vi.waitFor(() => expect(events).toMatchObject([{ kind: 'tick.fired', stepId: 'free' }]), 20_000)
  for (const index of [15, 16]) runner.fire({ ...tick, stepId: `held-${index}` })
  runner.fire({ ...tick, stepId: 'free-then' })
  await vi.waitFor(async () => expect(await starts()).toHaveLength(17), 20_000)
  expect(events).toHaveLength(1)
  await go()
  await vi.waitFor(() => expect(events).toHaveLength(19), 20_000)
  await runner.stop()
}, 60_000)

test('stopping waits for what runs and leaves what has not begun', async () => {
  const go = join(folder, 'go')
  const { runner, events, starts } = await setup(
    `const { existsSync } = await import('node:fs')
     while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 10))`,
  )
  for (let index = 0; index < 5; index += 1) runner.fire({ ...tick, stepId: `step-${index}` })
  await vi.waitFor(async () => expect(await starts()).toHaveLength(4), 10_000)
  const stopped = runner.stop()
  await writeFile(go, '')
  await stopped
  expect(events.map(({ kind, stepId }) => `${kind} ${stepId}`).toSorted()).toEqual([
    'tick.fired step-0',
    'tick.fired step-1',
    'tick.fired step-2',
    'tick.fired step-3',
    'tick.left step-4',
  ])
})

test('what outlives the grace period is asked to end, then killed, and never counts as fired', async () => {
  const { runner, kinds, starts } = await setup(
    `process.on('SIGTERM', () => starts === 1 ? process.exit(0) : undefined); setInterval(() => {}, 1000)`,
    50,
  )
  runner.fire(tick)
  await vi.waitFor(async () => expect(await starts()).toHaveLength(1), 10_000)
  runner.fire({ ...tick, stepId: 'step-b' })
  await vi.waitFor(async () => expect(await starts()).toHaveLength(2), 10_000)
  await runner.stop()
  expect(kinds()).toEqual(['tick.left', 'tick.left'])
})

test('a stop ends the pause before the next try', async () => {
  const { runner, events } = await setup('process.exit(1)')
  const slow = startTickRunner({
    program: { path: join(folder, 'program.mjs'), env: { LOG: join(folder, 'started') } },
    graceMs: 0,
    observe: (event) => events.push(event),
    pauseBefore: () => 60_000,
  })
  slow.fire(tick)
  await vi.waitFor(() => expect(events.map(({ kind }) => kind)).toEqual(['tick.retried']), 10_000)
  await slow.stop()
  expect(events.map(({ kind }) => kind)).toEqual(['tick.retried', 'tick.left'])
  await runner.stop()
})
