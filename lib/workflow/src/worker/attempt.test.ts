import { expect, test } from 'vitest'
import * as z from 'zod'
import { defineFunction } from '../function/define-function.ts'
import { fail } from '../function/outcome.ts'
import type { HeldJob } from '../job/held-job.ts'
import { aJob, aStep } from '../../test/a-job.ts'
import { attemptJob } from './attempt.ts'

const silent = () => undefined

const job: HeldJob = { ...aJob, payload: null, step: aStep }

/** A function that never ends by itself, and how often it was called. */
const endless = () => {
  let calls = 0
  const fn = defineFunction({
    name: 'Work',
    config: z.looseObject({}),
    run: () => {
      calls += 1
      return new Promise(() => undefined)
    },
  })
  return { fn, calls: () => calls }
}

const means = {
  config: async () => ({}),
  secrets: async () => '',
  log: { debug: silent, info: silent, warn: silent, error: silent },
  random: () => 0,
}

test('a job that is lost before its attempt begins is not run', async () => {
  const { fn, calls } = endless()
  const lost = AbortSignal.abort(new Error('taken over'))
  const ending = await attemptJob(job, { ...means, fn, lost })
  expect(ending).toMatchObject({ kind: 'requeued', error: { message: 'taken over' } })
  expect(calls()).toBe(0)
})

test('a job that is lost while its config is filled in is not run', async () => {
  const { fn, calls } = endless()
  const lost = new AbortController()
  const filled = Promise.withResolvers<Record<string, unknown>>()
  const attempt = attemptJob(job, { ...means, fn, config: () => filled.promise, lost: lost.signal })
  lost.abort(new Error('taken over'))
  expect(await attempt).toMatchObject({ kind: 'requeued', error: { message: 'taken over' } })
  filled.resolve({})
  await new Promise(setImmediate)
  expect(calls()).toBe(0)
})

test('a secret at the end of an error that is cut there is hidden first', async () => {
  const fn = defineFunction({
    name: 'Work',
    config: z.object({ token: z.string() }),
    run: ({ config }) => fail(`${'x'.repeat(9_990)}${config.token}`),
  })
  const ending = await attemptJob(job, {
    ...means,
    fn,
    config: async (_, secrets) => ({ token: await secrets('crm-token') }),
    secrets: async () => 'a-secret-of-some-length',
    lost: new AbortController().signal,
  })
  expect(ending).toMatchObject({ kind: 'failed', error: { message: expect.stringContaining('x[secret c') } })
  expect(JSON.stringify(ending)).not.toContain('a-secret')
})
