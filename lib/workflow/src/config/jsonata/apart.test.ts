import { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { expect, onTestFinished, test, vi } from 'vitest'
import { parseTemplate } from '../expression.ts'

const scope = {
  payload: { age: 31, hostile: `${'a'.repeat(40)}!` },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  step: { id: 'step-1', name: 'fetch' },
}
const evaluate = (source: string, signal?: AbortSignal) => parseTemplate(`{{ ${source} }}`).evaluate(scope, signal)

/** An expression that is evaluated apart, and ends at once. */
const innocent = '$map([1..3], function($n) { $n + payload.age })'

const cancel = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(new Error('cancelled')) }
}

/** Resolves when what is asked for now is under way, and what comes next waits for it. */
const beside = async (): Promise<void> => {
  for (const _ of ['gathered', 'sent']) await new Promise(setImmediate)
}

/** How long the event loop stood still at most while `work` was under way, in milliseconds. */
const stillWhile = async (work: () => Promise<unknown>): Promise<number> => {
  let most = 0
  let last = performance.now()
  const look = () => {
    const now = performance.now()
    most = Math.max(most, now - last)
    last = now
  }
  const clock = setInterval(look, 5)
  await work()
  look()
  clearInterval(clock)
  return most
}

/** The processes that this one has started for expressions. */
const children = (): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      return (
        status.includes(`\nPPid:\t${process.pid}\n`) &&
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('jsonata/child')
      )
    } catch {
      return false
    }
  })

const kilobytes = (pid: string): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)

/** Which of the two comes first depends on the machine. */
const ended = /longer than 1000 ms|more memory than 128 MiB/

test.each<[string, string, RegExp]>([
  ['a regular expression that goes back and back', '$match(payload.hostile, /^(a+)+$/)', ended],
  ['calls without end', '($f := function($n) { $f($n + 1) }; $f(1))', ended],
  ['lists of lists', '$map([1..99], function($i) { [1..1000000] })', ended],
  ['a text that doubles', `$uppercase($reduce([1..25], function($s, $n) { $s & $s }, "abcdefgh"))`, ended],
  ['one step that fills the heap', '$pad("x", 300000000)', ended],
  ['calls within calls', '($f := function($n) { 1 + $f($n + 1) }; $f(1))', /Stack overflow/],
  ['a long result', '$pad("x", 4000000)', /more than 4000000 characters/],
])(
  '%s is ended and fails its job; the event loop goes on, and the worker takes no more memory',
  async (_, source, why) => {
    await evaluate(innocent)
    const before = process.memoryUsage.rss()
    const still = await stillWhile(() =>
      expect(evaluate(source)).rejects.toMatchObject({
        code: 'expression_failed',
        final: true,
        message: expect.stringMatching(why),
      }),
    )
    expect(still).toBeLessThan(500)
    expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 2 ** 20)
    // The next one is evaluated as if nothing had been.
    expect(await evaluate(innocent)).toEqual([32, 33, 34])
  },
  30_000,
)

test('a steady expression that reads a large payload is taken apart as well', async () => {
  const list = Array.from({ length: 50_000 }, (_, price) => ({ price }))
  const sum = parseTemplate(`{{ ${Array(20).fill('$sum(payload.list.price)').join(' + ')} }}`)
  let total: unknown
  const still = await stillWhile(async () => {
    try {
      total = await sum.evaluate({ ...scope, payload: { list } })
    } catch (error) {
      total = error
    }
  })
  expect(still).toBeLessThan(600)
  expect(total === 24_999_500_000 || ended.test(String(total)), String(total)).toBe(true)
}, 30_000)

test.runIf(process.platform === 'linux')(
  'the process apart has no more memory than it may',
  async () => {
    await evaluate(innocent)
    const [child] = children()
    let most = 0
    const clock = setInterval(() => {
      if (child !== undefined && children().includes(child)) most = Math.max(most, kilobytes(child))
    }, 5)
    await expect(evaluate('$map([1..99], function($i) { [1..1000000] })')).rejects.toThrow(ended)
    clearInterval(clock)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThan(400 * 1024)
  },
  30_000,
)

test('what goes together with an expression that is ended is evaluated all the same', async () => {
  const slow = '$match(payload.hostile, /^(a+)+$/)'
  const large = '$map([1..99], function($i) { [1..1000000] })'
  const group = [innocent, slow, innocent, large, innocent]
  const ends = await Promise.allSettled(group.map((source) => evaluate(source)))
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
}, 30_000)

test('what nobody wants any more leaves the line, so that the next one does not wait for it', async () => {
  const { signal, abort } = cancel()
  const source = '$match(payload.hostile, /^(a+)+$/)'
  const inText = parseTemplate(`a text with {{ ${source} }}`)
  // Each of them would take its second, and all of them more than this test has.
  const unwanted = Array.from({ length: 30 }, () => [evaluate(source, signal), inText.evaluate(scope, signal)]).flat()
  const ends = Promise.allSettled(unwanted)
  await beside()
  abort()
  expect(new Set((await ends).map((end) => end.status === 'rejected' && String(end.reason)))).toEqual(
    new Set(['Error: cancelled']),
  )
  expect(await evaluate(innocent)).toEqual([32, 33, 34])
  await expect(evaluate(innocent, signal)).rejects.toThrow('cancelled')
}, 20_000)

test.runIf(process.platform === 'linux')(
  'a process in which nothing is wanted any more is ended, and the next one has another; one of which something is goes on',
  async () => {
    await evaluate(innocent)
    const [child = expect.fail('there is no process')] = children()
    const [slow, quick] = ['$match(payload.hostile, /^(a+)+$/)', innocent]
    const [first, other] = [cancel(), cancel()]
    const ends = Promise.allSettled([evaluate(quick, first.signal), evaluate(slow, other.signal)])
    await beside()
    first.abort()
    await beside()
    expect(children()).toEqual([child])
    other.abort()
    expect(await ends).toMatchObject([{ reason: { message: 'cancelled' } }, { reason: { message: 'cancelled' } }])
    expect(await evaluate(innocent)).toEqual([32, 33, 34])
    await vi.waitFor(() => expect(children()).not.toContain(child), 10_000)
  },
  30_000,
)

test('steps have turns: one in which many wait that take long holds up all of another by what is under way and one more', async () => {
  const others = { ...scope, step: { id: 'step-2', name: 'other' } }
  let through = 0
  const slow = Array.from({ length: 8 }, async () => {
    await expect(evaluate('$match(payload.hostile, /^(a+)+$/)')).rejects.toThrow(ended)
    through += 1
  })
  await beside()
  const another = parseTemplate(`{{ ${innocent} }}`)
  const all = Array.from({ length: 6 }, () => another.evaluate(others))
  expect(await Promise.all(all)).toEqual(all.map(() => [32, 33, 34]))
  expect(through).toBeLessThanOrEqual(2)
  // And those that come one behind the other by one each.
  expect(await another.evaluate(others)).toEqual([32, 33, 34])
  expect(await another.evaluate(others)).toEqual([32, 33, 34])
  expect(through).toBeLessThanOrEqual(4)
  await Promise.all(slow)
}, 30_000)

test.runIf(process.platform === 'linux')(
  'expressions whose process somebody else kills are evaluated in another',
  async () => {
    await evaluate(innocent)
    for (const pid of children()) process.kill(Number(pid), 'SIGSTOP')
    const group = Promise.all([evaluate(innocent), evaluate(innocent)])
    await beside()
    for (const pid of children()) process.kill(Number(pid), 'SIGKILL')
    expect(await group).toEqual([
      [32, 33, 34],
      [32, 33, 34],
    ])
  },
  30_000,
)

test.runIf(process.platform === 'linux')(
  'a process apart that is killed again and again says nothing about the expression: its job may try again',
  async () => {
    await evaluate(innocent)
    const hung = evaluate('($f := function($n) { $f($n + 1) }; $f(1))')
    const killing = setInterval(() => children().forEach((pid) => process.kill(Number(pid), 'SIGKILL')), 100)
    await expect(hung).rejects.not.toHaveProperty('final')
    clearInterval(killing)
    expect(await evaluate(innocent)).toEqual([32, 33, 34])
  },
  30_000,
)

test('a worker whose own event loop stands still for longer than an answer may take blames no expression for that', async () => {
  await evaluate(innocent)
  const first = evaluate(innocent)
  await beside()
  const others = [evaluate(innocent), evaluate(innocent)]
  const until = performance.now() + 6_500
  while (performance.now() < until);
  for (const value of await Promise.all([first, ...others])) expect(value).toEqual([32, 33, 34])
}, 30_000)

/** Has no process be started until what is returned is called: as Node has it that finds no program, or no file to open. */
const prevented = {
  'its program is not there': () => {
    const node = process.execPath
    process.execPath = '/nowhere/node'
    return () => void (process.execPath = node)
  },
  'no further file may be opened': () => {
    const spawn = Object.getOwnPropertyDescriptor(ChildProcess.prototype, 'spawn') ?? expect.fail()
    // It gives up before there is a pid, or a channel.
    const value = function (this: ChildProcess) {
      process.nextTick(() => this.emit('error', new Error('spawn EMFILE')))
    }
    Object.defineProperty(ChildProcess.prototype, 'spawn', { ...spawn, value })
    return () => void Object.defineProperty(ChildProcess.prototype, 'spawn', spawn)
  },
}

test.runIf(process.platform === 'linux').each(Object.entries(prevented))(
  'where %s for the process apart its jobs may try again, and the next one starts it',
  async (_, prevent) => {
    await evaluate(innocent)
    const hung = evaluate('($f := function($n) { $f($n + 1) }; $f(1))')
    const allow = prevent()
    onTestFinished(allow)
    for (const pid of children()) process.kill(Number(pid), 'SIGKILL')
    await expect(hung).rejects.toThrow('cannot be started')
    const ends = await Promise.allSettled([evaluate(innocent), evaluate(innocent)])
    for (const end of ends) {
      expect(end).toMatchObject({
        status: 'rejected',
        reason: { message: expect.stringContaining('cannot be started') },
      })
      expect(end).not.toHaveProperty('reason.final')
    }
    allow()
    expect(await evaluate(innocent)).toEqual([32, 33, 34])
  },
  30_000,
)

test.runIf(process.platform === 'linux')('the process apart has nothing of the environment', async () => {
  await evaluate(innocent)
  const [child] = children()
  const names = readFileSync(`/proc/${child}/environ`, 'utf8')
    .split('\0')
    .map((line) => line.split('=')[0])
  expect(names.filter((name) => name !== '' && !name?.startsWith('NODE_CHANNEL_'))).toEqual([])
})
