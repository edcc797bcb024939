import { expect, test } from 'vitest'
import { stepCheckOf } from './check-step.ts'
import { faultsOfOneStep, faultsOfSteps } from './check-steps.ts'
import type { StepDocument } from './document.ts'

const functions = new Map(
  [
    { name: 'CronJob', configSchema: {} },
    {
      name: 'Database.query',
      configSchema: { type: 'object', required: ['sql'], 'x-esteira-without-result': { confirm: 'none' } },
    },
    { name: 'Leads.save', configSchema: { 'x-esteira-max-timeout-ms': 30_000 } },
  ].map((fn) => [fn.name, stepCheckOf(fn, { maxPayloadBytes: 100 })]),
)

const step = (id: string, change: Partial<StepDocument> = {}): StepDocument => ({
  id,
  name: id,
  functionName: 'Database.query',
  config: { sql: 'select 1' },
  nextStep: null,
  outputType: null,
  retry: {},
  timeoutMs: null,
  ...change,
})

test('the faults of all steps are found at once', () => {
  const steps = [
    step('a', { functionName: 'database.query', nextStep: 'b' }),
    step('b', { config: {}, nextStep: 'c' }),
    step('c', { functionName: 'CronJob', config: { schedule: '* * * *' } }),
  ]
  expect(faultsOfSteps(steps, functions)).toEqual([
    { pointer: '/1/nextStep', message: 'step "c" is a CronJob: it begins runs and takes no jobs' },
    {
      pointer: '/0/functionName',
      message: 'no worker has offered a function "database.query", did you mean "Database.query"?',
    },
    { pointer: '/1/config/sql', message: 'is missing' },
    { pointer: '/2/config/schedule', message: expect.stringContaining('expected five fields') },
  ])
})

test('a function that resembles none gets no misleading hint', () => {
  expect(faultsOfSteps([step('a', { functionName: 'RdStation.getLeads' })], functions)).toEqual([
    { pointer: '/0/functionName', message: 'no worker has offered a function "RdStation.getLeads"' },
  ])
})

test('one step is judged by itself: what is wrong elsewhere does not hinder it', () => {
  const steps = [step('a', { functionName: 'Gone.since' }), step('b', { config: {} })]
  expect(faultsOfOneStep(steps, 1, functions)).toEqual([{ pointer: '/config/sql', message: 'is missing' }])
})

const producer = (change: Partial<StepDocument>) =>
  faultsOfSteps([step('a', { functionName: 'CronJob', outputType: 'multiple', ...change })], functions)

test.each([
  [{ items: [] }, 'an object'],
  [null, 'null'],
  ['items', '"items"'],
])('a CronJob that gives out its payload item by item cannot have %j', (payload, came) => {
  expect(producer({ config: { schedule: '@daily', payload } })).toEqual([
    { pointer: '/0/config/payload', message: `must be an array, ${came} came: outputType is "multiple"` },
  ])
})

test('a secret in the payload of a CronJob, which nobody would fill in, is refused with its place', () => {
  const payload = [{ segmentationId: 1 }, { token: { $secret: 'crm-token' } }, { token: { $secret: 'crm-token' } }]
  expect(producer({ config: { schedule: '@daily', payload } })).toEqual([
    {
      pointer: '/0/config/payload/1/token',
      message:
        'must not be a $secret: nothing of a payload is filled in; put it into the config of the step that needs it',
    },
  ])
})

test('an array is no fault, nor is any other output type; without a payload no tick could give items out', () => {
  expect(producer({ config: { schedule: '@daily', payload: [] } })).toEqual([])
  expect(producer({ config: { schedule: '@daily' } })).toEqual([
    { pointer: '/0/config/payload', message: 'is missing, must be an array: outputType is "multiple"' },
  ])
  expect(producer({ config: { schedule: '@daily', payload: {} }, outputType: 'single' })).toEqual([])
})

test('a circle that one step closes is told at this step', () => {
  expect(faultsOfOneStep([step('a', { nextStep: 'b' }), step('b', { nextStep: 'a' })], 1, functions)).toEqual([
    { pointer: '/nextStep', message: 'leads back to the step itself: b → a → b' },
  ])
})

test('a config that leaves no result goes with no outputType', () => {
  const config = { sql: 'select 1', confirm: 'none' }
  expect(faultsOfSteps([step('a', { config })], functions)).toEqual([])
  expect(faultsOfSteps([step('a', { config, outputType: 'single' })], functions)).toEqual([
    {
      pointer: '/0/outputType',
      message: 'must be null, "single" came: with config.confirm "none" there is no result',
    },
  ])
})

test('a step that others point to cannot become a CronJob', () => {
  const steps = [step('a', { nextStep: 'b' }), step('b', { functionName: 'CronJob', config: { schedule: '@daily' } })]
  expect(faultsOfOneStep(steps, 1, functions)).toEqual([
    { pointer: '/functionName', message: 'step "b" is a CronJob: it begins runs and takes no jobs' },
  ])
})

test('the payload of a CronJob that no tick could begin a run with is refused', () => {
  const faultsOf = (payload: unknown) =>
    faultsOfSteps([step('a', { functionName: 'CronJob', config: { schedule: '@daily', payload } })], functions)
  expect(faultsOf('x'.repeat(98))).toEqual([])
  expect(faultsOf(undefined)).toEqual([])
  expect(faultsOf('x'.repeat(99))).toEqual([
    { pointer: '/0/config/payload', message: expect.stringMatching(/^has 101 bytes as JSON, and 100 are allowed: /) },
  ])
})

test('of a payload that is given out item by item each item is held to the limit, and no list to that of one value', () => {
  const faultsOf = (payload: unknown, nextStep: string | null = 'b') =>
    faultsOfSteps(
      [
        step('a', {
          functionName: 'CronJob',
          config: { schedule: '@daily', payload },
          outputType: 'multiple',
          nextStep,
        }),
        step('b'),
      ],
      functions,
    )
  expect(faultsOf(Array.from({ length: 1_000 }, () => 'x'.repeat(98)))).toEqual([])
  expect(faultsOf(['x', 'x'.repeat(99)])).toEqual([
    {
      pointer: '/0/config/payload',
      message: expect.stringMatching(/^has an item, 2 of 2, that has 101 bytes as JSON, and 100 are allowed: /),
    },
  ])
  // Without a next step the list stays on the job, as one value.
  expect(faultsOf(['x'.repeat(60), 'x'.repeat(60)], null)).toMatchObject([{ pointer: '/0/config/payload' }])
})

test('a step with more time than its function ever gets is refused', () => {
  const faultsOf = (change: Partial<StepDocument>) =>
    faultsOfSteps([step('a', { config: { sql: '' }, ...change })], functions)
  expect(faultsOf({ functionName: 'Leads.save', timeoutMs: 30_000 })).toEqual([])
  expect(faultsOf({ functionName: 'Leads.save', timeoutMs: null })).toEqual([])
  expect(faultsOf({ functionName: 'Database.query', timeoutMs: 30_001 })).toEqual([])
  expect(faultsOf({ functionName: 'Leads.save', timeoutMs: 30_001 })).toEqual([
    {
      pointer: '/0/timeoutMs',
      message: 'must be at most 30000: Leads.save writes in a transaction that others wait for',
    },
  ])
})
