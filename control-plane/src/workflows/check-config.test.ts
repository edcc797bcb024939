import { defineFunction, literalText } from '@esteira/workflow'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { configCheckOf } from './check-config.ts'

const query = configCheckOf(
  defineFunction({
    name: 'Database.query',
    config: z.strictObject({
      connection: z.string(),
      sql: literalText(),
      parameters: z.array(z.unknown()).default([]),
      mode: z.enum(['rows', 'none']).default('rows'),
      batch: z.int().min(1).max(100).optional(),
    }),
    run: () => null,
  }),
)

const cronJob = configCheckOf({ name: 'CronJob', configSchema: {} })

test('a config that fits has no faults, and an expression fits everywhere but in a literal', () => {
  expect(query({ connection: 'crm', sql: 'select 1' })).toEqual([])
  expect(
    query({
      connection: '{{ payload.name }}',
      sql: 'select 1',
      batch: '{{ payload.n }}',
      parameters: ['{{ payload }}'],
    }),
  ).toEqual([])
  expect(query({ connection: 'crm', sql: 'select {{ payload.id }}' })).toEqual([
    { pointer: '/sql', message: 'takes no {{ expression }}' },
  ])
})

test('every fault has its place in the config', () => {
  expect(query({ conection: 'crm', sql: 'select 1', mode: 'row', batch: 1000, parameters: 'x' })).toEqual([
    { pointer: '/connection', message: 'is missing' },
    { pointer: '/conection', message: 'is not known here, did you mean "connection"?' },
    { pointer: '/parameters', message: 'must be array' },
    { pointer: '/mode', message: 'expected one of "rows", "none", did you mean "rows"?' },
    { pointer: '/batch', message: 'must be <= 100' },
  ])
})

test('an expression that cannot be read is refused with its place', () => {
  const faults = query({ connection: 'crm', sql: 'select 1', parameters: ['fine', '{{ payload. }}', '{{ open'] })
  expect(faults.map(({ pointer }) => pointer)).toEqual(['/parameters/1', '/parameters/2'])
})

test('a schema that cannot be compiled is told and does not break the save of others', () => {
  const broken = configCheckOf({ name: 'Broken', configSchema: { type: 'nonsense' } })
  expect(broken({})).toEqual([
    { pointer: '', message: expect.stringContaining('the schema that the worker of Broken published is broken') },
  ])
})

test('a CronJob is checked by its own schema, schedule and zone included', () => {
  expect(cronJob({ schedule: '* * * * *', payload: [1], timeZone: 'America/Sao_Paulo' })).toEqual([])
  expect(cronJob({ schedul: '* * * * *', startingDeadlineSeconds: 1 })).toEqual([
    { pointer: '/schedule', message: 'is missing, expected string' },
    { pointer: '/startingDeadlineSeconds', message: 'Too small: expected number to be >=10' },
    { pointer: '/schedul', message: 'is not known here, did you mean "schedule"?' },
  ])
  expect(cronJob({ schedule: '* 25 * * *', timeZone: 'Mars' }).map(({ pointer }) => pointer)).toEqual([
    '/schedule',
    '/timeZone',
  ])
})

test('a CronJob takes no expressions in what it needs to tick', () => {
  expect(cronJob({ schedule: '{{ payload.schedule }}' }).map(({ pointer }) => pointer)).toEqual(['/schedule'])
})
