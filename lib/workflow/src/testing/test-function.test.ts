import type { Log } from '@esteira/service'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { defineFunction, type FunctionContext } from '../function/define-function.ts'
import { fail, retry, snooze } from '../function/outcome.ts'
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

test('what a function throws is thrown', async () => {
  const error = new Error('away')
  const failing = functionWith(() => {
    throw error
  })
  await expect(testFunction(failing, { config, payload: { name: 'Ana' } })).rejects.toBe(error)
})
