import { expect, test } from 'vitest'
import * as z from 'zod'
import { aJob, aStep } from '../../../test/a-job.ts'
import { defineFunction } from '../../function/define-function.ts'
import type { Said } from './messages.ts'
import { createWardAttempts } from './ward-attempts.ts'

const silent = () => undefined
const place = { traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 0 }

test('what is said of a job is that it begins, then that its config is filled in, and what came of its call', async () => {
  const said: string[] = []
  const answered = Promise.withResolvers<Said>()
  const fn = defineFunction({
    name: aStep.functionName,
    config: z.looseObject({}),
    run: () => {
      said.push('called')
      return 1
    },
  })
  const attempts = createWardAttempts({
    functionOf: () => fn,
    units: null,
    secrets: async () => {
      said.push('a secret is asked for')
      return 'a-secret-of-some-length'
    },
    maxPayloadBytes: 1_000,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    say: async (one) => {
      said.push(one.kind)
      if (one.kind === 'answer') answered.resolve(one)
    },
  })
  const step = { ...aStep, config: { token: { $secret: 'crm-token' } } }
  const job = { ...aJob, payload: null, cursor: null, accepted: null, step }
  attempts.hear({
    kind: 'attempt',
    id: 1,
    suspect: { job, place, timeoutMs: 60_000, stream: null },
    by: { worker: 'worker', lane: 1 },
  })
  expect(await answered.promise).toMatchObject({ answer: { kind: 'ended', ending: { kind: 'succeeded' } } })
  expect(said).toEqual(['begun', 'a secret is asked for', 'filled', 'called', 'answer'])
})
