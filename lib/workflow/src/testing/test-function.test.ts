import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Log } from '@esteira/service'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { listOrders } from '../../test/examples/list-orders.ts'
import { defineFunction, type FunctionContext } from '../function/define-function.ts'
import { fail, retry, snooze } from '../function/outcome.ts'
import { page } from '../function/page.ts'
import { testFunction } from './test-function.ts'

type Config = { greeting: string; token?: string | undefined }

const functionWith = (run: (context: FunctionContext<Config, { name: string }>) => unknown) =>
  defineFunction({
    name: 'People.greet',
    config: z.strictObject({ greeting: z.string(), token: z.string().optional() }),
    input: z.object({ name: z.string() }),
    run,
  })

const greet = functionWith(({ config, payload }) => ({ text: `${config.greeting} ${payload.name}`, at: new Date(0) }))
const config = { greeting: '{{ payload.formal ? "Dear" : "Hi" }}' }

test('gives what the next step would get, with the expressions of the config evaluated', async () => {
  expect(await testFunction(greet, { config, payload: { name: 'Ana', formal: true } })).toEqual({
    kind: 'output',
    output: { text: 'Dear Ana', at: '1970-01-01T00:00:00.000Z' },
  })
  expect(await testFunction(greet, { config, payload: { name: 'Ana' }, outputType: null })).toEqual({ kind: 'nothing' })
})

test('a job may be one that was sent again', async () => {
  const again = functionWith(({ job }) => job.revision)
  const greeting = { config: { greeting: 'Hi' }, payload: { name: 'Ana' } }
  expect(await testFunction(again, greeting)).toEqual({ kind: 'output', output: 0 })
  expect(await testFunction(again, { ...greeting, revision: 2 })).toEqual({ kind: 'output', output: 2 })
})

test('gives the items of all pages, and of emit, and begins behind a cursor', async () => {
  const pages = defineFunction({
    name: 'Pages.give',
    config: z.strictObject({}),
    cursor: z.int(),
    run: async function* ({ cursor, emit }) {
      await emit([cursor ?? 0], 1)
      yield page(['a', 'b'], 2)
    },
  })
  expect(await testFunction(pages, { outputType: 'multiple' })).toEqual({ kind: 'items', items: [0, 'a', 'b'] })
  expect(await testFunction(pages, { outputType: 'single', cursor: 7 })).toEqual({
    kind: 'output',
    output: [7, 'a', 'b'],
  })
  await expect(testFunction(pages, { cursor: 'seven' })).rejects.toMatchObject({ code: 'cursor_invalid', final: true })
})

test('a function that emits may have nothing left behind its cursor', async () => {
  const emitting = defineFunction({
    name: 'Pages.emit',
    config: z.strictObject({}),
    output: z.array(z.int()),
    cursor: z.int(),
    run: async ({ cursor, emit }) => {
      if (cursor === null) await emit([1], 1)
    },
  })
  const behind = { outputType: 'multiple', cursor: 1 } as const
  expect(await testFunction(emitting, behind)).toEqual({ kind: 'items', items: [] })
  expect(await testFunction(emitting, { ...behind, outputType: 'single' })).toEqual({ kind: 'output', output: [] })
})

const ends: readonly [string, (emit: Emit) => unknown][] = [
  ['emitted all', (emit) => emit(['first'])],
  ['given a result', () => ['all']],
  ['failed', () => Promise.reject(new Error('no'))],
]

type Emit = (items: readonly unknown[]) => Promise<void>

test.each(ends)('what is emitted behind the end of a function that has %s is refused', async (_, end) => {
  for (const outputType of ['single', 'multiple', null] as const) {
    let late: Emit | undefined
    const leaves = functionWith(({ emit }) => {
      late = emit
      return end(emit)
    })
    const job = { config: { greeting: 'Hi' }, payload: { name: 'Ana' }, outputType }
    await testFunction(leaves, job).catch(() => null)
    await expect(late?.(['late'])).rejects.toMatchObject({ code: 'attempt_failed', message: 'the attempt is over' })
  }
})

test('a page whose items are no array fails for good, and says so', async () => {
  const base = { name: 'Pages.wrong', config: z.strictObject({}), cursor: z.int() }
  const wrong = {
    code: 'output_invalid',
    final: true,
    message: 'Pages.wrong gave a page: its items must be an array, but a string came',
  }
  // What JavaScript, or a value of any type, brings along.
  const text: unknown[] = JSON.parse('"text"')
  const yields = defineFunction({
    ...base,
    run: async function* () {
      yield page(text, 1)
    },
  })
  await expect(testFunction(yields, { outputType: 'multiple' })).rejects.toMatchObject(wrong)
  const emits = defineFunction({
    ...base,
    run: async ({ emit }) => {
      await emit(text, 1)
    },
  })
  for (const outputType of ['multiple', null] as const) {
    await expect(testFunction(emits, { outputType })).rejects.toMatchObject(wrong)
  }
})

test('the README shows a function that reads on behind its cursor, and it works', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const example = await readFile(new URL('../../test/examples/list-orders.ts', import.meta.url), 'utf8')
  expect(readme).toContain(`\`\`\`ts\n// list-orders.ts\n${example}\`\`\``)
  const pages: Record<string, unknown[]> = { 1: [{ id: 'a' }, { id: 'b' }], 2: [{ id: 'c' }] }
  const shop = createServer(({ url = '' }, answer) => {
    answer.end(JSON.stringify(pages[new URL(url, 'http://shop').searchParams.get('page') ?? ''] ?? []))
  })
  await once(shop.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void shop.close())
  const address = shop.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const job = { config: { url: `http://127.0.0.1:${port}` }, outputType: 'multiple' } as const
  expect(await testFunction(listOrders, job)).toEqual({ kind: 'items', items: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] })
  expect(await testFunction(listOrders, { ...job, cursor: 2 })).toEqual({ kind: 'items', items: [{ id: 'c' }] })
})

test('gives the items of an array and of an async iterable', async () => {
  const letters = functionWith(async function* run({ payload }) {
    yield* payload.name.split('')
  })
  const job = { config, payload: { name: 'Ana' }, outputType: 'multiple' as const }
  const items = { kind: 'items', items: ['A', 'n', 'a'] }
  expect(await testFunction(letters, job)).toEqual(items)
  expect(
    await testFunction(
      functionWith(({ payload }) => payload.name.split('')),
      job,
    ),
  ).toEqual(items)
  await expect(testFunction(greet, job)).rejects.toThrow('must be an array, but an object came')
})

test.each<[string, () => unknown, unknown[]]>([
  ['a Set', () => new Set(['a', 'b', 'a']), ['a', 'b']],
  ['entries of a Map', () => new Map([['a', 1]]).entries(), [['a', 1]]],
  ['a generator', () => lettersOf('ab'), ['a', 'b']],
  ['promises', () => new Set([Promise.resolve('a'), 'b']), ['a', 'b']],
  ['nothing', () => new Set(), []],
])('gives the items of %s, which are there one after the other without waiting', async (_, run, items) => {
  const job = { config, payload: { name: 'Ana' } }
  expect(await testFunction(functionWith(run), { ...job, outputType: 'multiple' })).toEqual({ kind: 'items', items })
  expect(await testFunction(functionWith(run), job)).toEqual({ kind: 'output', output: items })
})

function* lettersOf(text: string): Generator<string, unknown> {
  yield* text
  return text === 'later' ? snooze(1_000) : undefined
}

test.each([[['b']], ['b'], [null], [0]])(
  'a generator that ends with %j is refused: that would not go on',
  async (rest) => {
    const both = functionWith(async function* () {
      yield 'a'
      return rest
    })
    for (const outputType of ['multiple', 'single', null] as const)
      await expect(testFunction(both, { config, payload: { name: 'Ana' }, outputType })).rejects.toMatchObject({
        code: 'output_invalid',
        final: true,
        message: expect.stringContaining('is to be given by yield'),
      })
  },
)

test('a generator that waits for nothing may end with an outcome, and give pages', async () => {
  const job = { config, payload: { name: 'Ana' }, outputType: 'multiple' as const }
  const later = functionWith(() => lettersOf('later'))
  expect(await testFunction(later, job)).toEqual({ kind: 'snooze', delayMs: 1_000, reason: null })
  const pages = defineFunction({
    name: 'Pages.give',
    config: z.strictObject({}),
    cursor: z.int(),
    run: function* ({ cursor }) {
      yield page([cursor], 1)
      yield page(['a', 'b'], 2)
    },
  })
  const items = [null, 'a', 'b']
  expect(await testFunction(pages, { outputType: 'multiple' })).toEqual({ kind: 'items', items })
})

test.each<[string, () => unknown, string]>([
  ['a text', () => 'Ana', 'a string'],
  ['bytes', () => Buffer.from('Ana'), 'an object'],
  ['what says how it is stored', () => Object.assign(new Set([1]), { toJSON: () => 'a set' }), 'an object'],
])('%s is a value as a whole, and no items', async (_, run, what) => {
  const job = { config, payload: { name: 'Ana' } }
  expect(await testFunction(functionWith(run), job)).toEqual({
    kind: 'output',
    output: JSON.parse(JSON.stringify(run())),
  })
  const many = testFunction(functionWith(run), { ...job, outputType: 'multiple' })
  await expect(many).rejects.toThrow(`must be an array, but ${what} came`)
})

test.each([
  [retry('later'), { kind: 'retry', reason: 'later' }],
  [fail('never'), { kind: 'fail', reason: 'never' }],
  [snooze(1_000, 'busy'), { kind: 'snooze', delayMs: 1_000, reason: 'busy' }],
  [snooze(1_000), { kind: 'snooze', delayMs: 1_000, reason: null }],
])('gives an outcome (%#)', async (outcome, trial) => {
  expect(
    await testFunction(
      functionWith(() => outcome),
      { config, payload: { name: 'Ana' } },
    ),
  ).toEqual(trial)
})

test('checks config, payload and result, and tells faults as the runtime does', async () => {
  await expect(testFunction(greet, { payload: { name: 'Ana' } })).rejects.toMatchObject({ code: 'config_invalid' })
  await expect(testFunction(greet, { config })).rejects.toMatchObject({ code: 'payload_invalid' })
  await expect(
    testFunction(greet, { config: { greeting: '{{ payload.name + 1 }}' }, payload: { name: 'Ana' } }),
  ).rejects.toMatchObject({ code: 'expression_failed', message: expect.stringContaining('/greeting: ') })
  const wrong = defineFunction({ name: 'Wrong.give', config: z.object({}), output: z.string().min(2), run: () => 'a' })
  await expect(testFunction(wrong)).rejects.toMatchObject({ code: 'output_invalid' })
  const count = defineFunction({ name: 'Count.give', config: z.object({}), run: () => [1n] })
  await expect(testFunction(count, { outputType: 'multiple' })).rejects.toMatchObject({ code: 'output_rejected' })
})

test('fills in secrets of the test, and hides them in its log', async () => {
  const lines: unknown[] = []
  const keep: Log['info'] = (fields) => void lines.push(fields)
  const log = { debug: keep, info: keep, warn: keep, error: keep }
  const called = functionWith((context) => {
    context.log.info({ event: 'called', token: context.config.token })
    return context.config.token?.length
  })
  const job = { config: { ...config, token: { $secret: 'crm' } }, payload: { name: 'Ana' }, log }
  expect(await testFunction(called, { ...job, secrets: { crm: 'hidden' } })).toEqual({ kind: 'output', output: 6 })
  expect(lines).toEqual([{ event: 'called', token: '[secret crm]' }])
  const given = functionWith((context) => context.config.token)
  const told = { ...job, secrets: { crm: 'hidden from all' } }
  await expect(testFunction(given, told)).rejects.toMatchObject({ code: 'output_invalid' })
  expect(await testFunction(given, { ...told, outputType: null })).toEqual({ kind: 'nothing' })
  await expect(testFunction(called, job)).rejects.toMatchObject({
    code: 'secret_missing',
    message: '/token: secret "crm" is not there: it is not among the secrets of the test',
  })
})

test('a function may have its result checked before it does what cannot be undone', async () => {
  const done: unknown[] = []
  const careful = functionWith((context) => {
    context.checkResult(context.config.token)
    done.push(context.config.greeting)
    return context.config.token
  })
  const job = {
    config: { ...config, token: { $secret: 'crm' } },
    payload: { name: 'Ana' },
    secrets: { crm: 'hidden from all' },
  }
  await expect(testFunction(careful, job)).rejects.toMatchObject({ code: 'output_invalid' })
  expect(done).toEqual([])
  await testFunction(careful, { ...job, outputType: null })
  expect(done).toEqual(['Hi'])
})

test('what a function throws is thrown', async () => {
  const error = new Error('away')
  const failing = functionWith(() => {
    throw error
  })
  await expect(testFunction(failing, { config, payload: { name: 'Ana' } })).rejects.toBe(error)
})

test('text that nobody can store is refused as in a worker, in a value and in a key', async () => {
  const give = (result: unknown) => defineFunction({ name: 'Any.give', config: z.looseObject({}), run: () => result })
  const refused = (place: string) => ({
    code: 'output_rejected',
    message: `the result cannot be stored: its text${place} has a NUL character or half of a surrogate pair`,
  })
  await expect(testFunction(give('\0'), { outputType: 'single' })).rejects.toMatchObject(refused(''))
  const half = { name: 'fine', list: [{ '\ud800': 1 }] }
  await expect(testFunction(give(half), { outputType: 'single' })).rejects.toMatchObject(refused(' at /list/0/\ufffd'))
  await expect(testFunction(give(['fine', { a: '\0' }]), { outputType: 'multiple' })).rejects.toMatchObject(
    refused(' at /1/a'),
  )
})
