import { createLog } from '@esteira/service'
import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'
import { expect, expectTypeOf, test } from 'vitest'
import * as z from 'zod'
import type { EntityManager } from '@mikro-orm/postgresql'
import { defineFunction, timeoutOf } from './define-function.ts'
import { literalText } from './json-schema.ts'
import { fail, retry, snooze } from './outcome.ts'
import { page } from './page.ts'

const context = {
  config: {},
  payload: {},
  step: { id: 'step-1', name: 'double', outputType: null, hasNext: false },
  run: { id: 'run-1', workflowId: 'workflow-1' },
  job: { id: 'job-1', revision: 0 },
  attempt: 1,
  timeoutMs: 1_000,
  cursor: null,
  emit: async () => {},
  signal: new AbortController().signal,
  log: createLog('test'),
  span: trace.wrapSpanContext(INVALID_SPAN_CONTEXT),
  checkResult: () => {},
}

const double = defineFunction({
  name: 'Numbers.double',
  config: z.strictObject({ by: z.int().default(2), note: literalText().optional() }),
  input: z.object({ value: z.number() }),
  run: ({ config, payload }) => {
    expectTypeOf(config.by).toEqualTypeOf<number>()
    expectTypeOf(payload.value).toEqualTypeOf<number>()
    return payload.value * config.by
  },
})

test('a function is called with its config and payload, defaults filled in', () => {
  expect(double.call({ ...context, payload: { value: 21 } })).toBe(42)
})

test('a config that does not fit is a final error that tells every fault by its field, and not the value', () => {
  const config = { by: 'secret', note: '{{ secret }}', secretly: 1 }
  expect(() => double.call({ ...context, config, payload: { value: 1 } })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      final: true,
      message:
        'config.by: must be a number, a string came; config.note: takes no {{ expression }}; ' +
        'config.secretly: is not known here',
    }),
  )
})

test('a step of a function whose config leaves no result can have no outputType', () => {
  const silent = defineFunction({
    name: 'Silent.say',
    config: z.strictObject({ loud: z.boolean() }),
    withoutResult: { loud: false },
    run: () => 'said',
  })
  expect(silent.configSchema).toMatchObject({ 'x-esteira-without-result': { loud: false } })
  const single = { ...context, step: { ...context.step, outputType: 'single' as const } }
  expect(silent.call({ ...single, config: { loud: true } })).toBe('said')
  expect(silent.call({ ...context, config: { loud: false } })).toBe('said')
  expect(() => silent.call({ ...single, config: { loud: false } })).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: 'outputType must be null, "single" came: with config.loud false there is no result',
    }),
  )
})

test('a payload that does not fit is told with its path', () => {
  expect(() => double.call({ ...context, payload: { value: 'x' } })).toThrow(
    expect.objectContaining({
      code: 'payload_invalid',
      message: 'payload.value: must be a number, a string came',
    }),
  )
  expect(() => double.call({ ...context, payload: [] })).toThrow('payload: must be an object, an array came')
})

test('the published config schema takes an expression wherever it takes a value, but not in a literal', () => {
  expect(double.configSchema).toMatchObject({
    type: 'object',
    properties: {
      by: { if: { type: 'string', pattern: expect.any(String) }, else: { type: 'integer' } },
      note: { type: 'string', 'x-esteira-literal': true },
    },
  })
  expect([...double.literals]).toEqual(['note'])
})

test('the published config schema takes a secret wherever it takes a text', () => {
  const { configSchema } = defineFunction({
    name: 'Any.call',
    config: z.object({ text: z.string(), any: z.unknown(), nullable: z.string().nullable(), count: z.int() }),
    run: () => null,
  })
  const secret = { if: { anyOf: [expect.anything(), { type: 'object', required: ['$secret'] }] } }
  expect(configSchema.properties).toMatchObject({ text: secret, any: secret, nullable: secret })
  expect(configSchema.properties).toMatchObject({ count: { if: { type: 'string' } } })
})

const lead = z.object({ id: z.int(), email: z.string().optional() })

test('the type of a result follows from the schema of the output', () => {
  type Run = Parameters<typeof defineFunction<object, unknown, z.ZodArray<typeof lead>>>[0]['run']
  type Given = Awaited<ReturnType<Run>>
  expectTypeOf<{ id: number }[]>().toExtend<Given>()
  expectTypeOf<AsyncGenerator<{ id: number }>>().toExtend<Given>()
  expectTypeOf<ReturnType<typeof snooze>>().toExtend<Given>()
  expectTypeOf<{ id: string }[]>().not.toExtend<Given>()
  expectTypeOf<{ id: number }>().not.toExtend<Given>()
  expectTypeOf<AsyncGenerator<{ id: string }>>().not.toExtend<Given>()
  const base = { name: 'Leads.get', config: z.object({}), output: z.array(lead) }
  // @ts-expect-error: the email is no number.
  defineFunction({ ...base, run: () => [{ id: 1, email: 7 }] })
  defineFunction({
    ...base,
    // @ts-expect-error: nor is it within an iterable.
    run: async function* run() {
      yield { id: 1, email: 7 }
    },
  })
  // One that emits returns nothing.
  defineFunction({ ...base, run: async ({ emit }) => emit([{ id: 1 }]) })
  defineFunction({
    ...base,
    // @ts-expect-error: nor is it what is emitted.
    run: async ({ emit }) => emit([{ id: 1, email: 7 }]),
  })
  expect(defineFunction({ ...base, run: async () => [{ id: 1 }] }).outputSchema).toMatchObject({ type: 'array' })
})

test('the types of pages and of their cursor follow from the schemas', () => {
  const base = { name: 'Leads.all', config: z.object({}), output: z.array(lead), cursor: z.object({ page: z.int() }) }
  const fn = defineFunction({
    ...base,
    run: async function* run({ cursor, emit }) {
      expectTypeOf(cursor).toEqualTypeOf<{ page: number } | null>()
      expectTypeOf(emit).parameters.toEqualTypeOf<[readonly z.input<typeof lead>[], { page: number }]>()
      yield page([{ id: 1 }], { page: 2 })
      return snooze(1)
    },
  })
  expect(fn.isResumable).toBe(true)
  // @ts-expect-error: the email is no number.
  defineFunction({ ...base, run: async ({ emit }) => emit([{ id: 1, email: 7 }], { page: 2 }) })
  defineFunction({
    ...base,
    // @ts-expect-error: nor is a page.
    run: async function* run() {
      yield page([{ id: 1 }], { page: 'two' })
    },
  })
})

test.each([
  ['is missing', undefined, 'items must come as page(items, cursor), and a cursor is never null'],
  ['is null', null, 'items must come as page(items, cursor), and a cursor is never null'],
  ['does not fit', { page: 'two' }, 'cursor.page: must be a number, a string came'],
  ['is too much', { page: 1, more: 'x'.repeat(20_000) }, 'a cursor has 20020 bytes as JSON, and 16384 are allowed'],
])('a cursor that %s is refused', (_, cursor, message) => {
  const { checkCursor } = defineFunction({
    name: 'Leads.all',
    config: z.object({}),
    cursor: z.looseObject({ page: z.int() }),
    run: () => undefined,
  })
  expect(checkCursor({ page: 1 })).toBeUndefined()
  expect(() => checkCursor(cursor)).toThrow(expect.objectContaining({ code: 'cursor_invalid', final: true, message }))
})

test('a cursor is checked as the next attempt reads it', () => {
  const functionOf = (cursor: z.ZodType) =>
    defineFunction({ name: 'Leads.all', config: z.object({}), cursor, run: () => undefined })
  expect(() => functionOf(z.date()).checkCursor(new Date(0))).toThrow('cursor: must be date, a string came')
  expect(() => functionOf(z.map(z.string(), z.int())).checkCursor(new Map([['a', 1]]))).toThrow('cursor: must be')
  expect(() => functionOf(z.any()).checkCursor(() => 1)).toThrow('a cursor is never null')
  expect(functionOf(z.coerce.date()).checkCursor(new Date(0))).toBeUndefined()
})

test('a result that does not fit is told with its path, and not the value', () => {
  const { checkResult } = defineFunction({
    name: 'Leads.get',
    config: z.object({}),
    output: z.array(lead),
    run: () => [],
  })
  expect(checkResult([{ id: 1, more: true }])).toBeUndefined()
  expect(() => checkResult([{ id: 1 }, { id: 'ana', email: 7 }])).toThrow(
    expect.objectContaining({
      code: 'output_invalid',
      final: true,
      message: 'result.1.id: must be a number, a string came; result.1.email: must be a string, a number came',
    }),
  )
  expect(double.checkResult('anything')).toBeUndefined()
})

test.each([
  [{ timeoutMs: 3 * 3_600_000 }, 'Bad.defaults: defaults.timeoutMs: must be at most 1500000'],
  [{ timeoutMs: Number.NaN }, 'Bad.defaults: defaults.timeoutMs: must be a number, a number came'],
  [{ timeoutMs: 0 }, 'Bad.defaults: defaults.timeoutMs: must be at least 1'],
  [{ retry: { maxAttempts: 0 } }, 'Bad.defaults: defaults.retry.maxAttempts: must be at least 1'],
  [
    { retry: { delayMs: -1 }, timeoutMs: 0.5 },
    /retry\.delayMs: must be at least 0; .*timeoutMs: must be a whole number/,
  ],
])('the defaults %j are refused where the function is made', (defaults, message) => {
  const make = () => defineFunction({ name: 'Bad.defaults', config: z.object({}), defaults, run: () => null })
  expect(make).toThrow(expect.objectContaining({ code: 'function_invalid' }))
  expect(make).toThrow(message)
})

test.each([Number.NaN, -1, Infinity, 1e14])('snooze(%d) is refused', (delayMs) => {
  expect(() => snooze(delayMs, 'later')).toThrow(
    expect.objectContaining({
      code: 'outcome_invalid',
      final: false,
      message: `snooze takes milliseconds from 0 to 31536000000, ${delayMs} came`,
    }),
  )
})

test.each([
  ['retry', 'nothing', () => Reflect.apply(retry, null, [])],
  ['fail', 'an object', () => Reflect.apply(fail, null, [{ code: 7 }])],
  ['snooze', 'null', () => Reflect.apply(snooze, null, [1, null])],
])('%s with a reason that is no text is refused and says so', (outcome, what, make) => {
  expect(make).toThrow(
    expect.objectContaining({
      code: 'outcome_invalid',
      final: false,
      message: `${outcome} takes a text as its reason, ${what} came`,
    }),
  )
})

test('only a function with a unit of its own gets an entity manager, and it cannot be called without', () => {
  const own = defineFunction({
    name: 'Own.work',
    config: z.strictObject({}),
    unit: 'own',
    run: ({ em }) => {
      expectTypeOf(em).toEqualTypeOf<EntityManager>()
      return null
    },
  })
  defineFunction({
    name: 'Shared.work',
    config: z.strictObject({}),
    run: (given) => {
      expectTypeOf(given).not.toHaveProperty('em')
      return null
    },
  })
  expect(() => own.call(context)).toThrow(expect.objectContaining({ code: 'function_invalid' }))
})

test('an attempt in a unit of its own may take 30 s, and any other 25 minutes, whatever the step says', () => {
  const make = (unit: 'own' | 'shared', timeoutMs?: number) =>
    defineFunction({
      name: 'Any.work',
      config: z.strictObject({}),
      unit,
      run: () => null,
      ...(timeoutMs === undefined ? {} : { defaults: { timeoutMs } }),
    })
  expect(timeoutOf(make('own'), { timeoutMs: null })).toBe(30_000)
  expect(timeoutOf(make('own', 5_000), { timeoutMs: null })).toBe(5_000)
  expect(timeoutOf(make('own'), { timeoutMs: 60_000 })).toBe(30_000)
  expect(timeoutOf(make('shared'), { timeoutMs: 60_000 })).toBe(60_000)
  expect(timeoutOf(make('shared'), { timeoutMs: 3_000_000_000 })).toBe(1_500_000)
  expect(() => make('own', 30_001)).toThrow(expect.objectContaining({ code: 'function_invalid' }))
  expect(make('own').configSchema).toHaveProperty('x-esteira-max-timeout-ms', 30_000)
  expect(make('shared').configSchema).not.toHaveProperty('x-esteira-max-timeout-ms')
})

test('a payload or a result that is nested too deeply for its schema is a final error, and is told by its levels', () => {
  const lists = (levels: number): unknown => {
    let nested: unknown = 1
    for (let level = 0; level < levels; level += 1) nested = [nested]
    return nested
  }
  const fn = defineFunction({
    name: 'Any.keep',
    config: z.looseObject({}),
    input: z.json(),
    output: z.json(),
    run: () => null,
  })
  const told = 'is nested too deeply: it has 50000 levels, and 1000 are expected at most'
  expect(() => fn.call({ ...context, payload: lists(50_000) })).toThrow(
    expect.objectContaining({ code: 'payload_invalid', final: true, message: `payload ${told}` }),
  )
  expect(() => fn.checkResult(lists(50_000))).toThrow(
    expect.objectContaining({ code: 'output_invalid', final: true, message: `result ${told}` }),
  )
  fn.call({ ...context, payload: lists(1_000) })
  fn.checkResult(lists(1_000))
})
