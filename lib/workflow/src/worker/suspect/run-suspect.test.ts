import { INVALID_SPAN_CONTEXT } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { functionOf } from '../../../test/engine.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { Beating } from '../beats.ts'
import { runSuspect, suspectsFor } from './run-suspect.ts'
import type { Answer } from './messages.ts'
import type { Suspects } from './suspects.ts'

const suspects: Suspects = {
  attempt: () => Promise.reject(new Error('nobody is attempted here')),
  stop: () => {},
}
const fresh = { accepted: null }
const third = { deliveries: 2 }

test('a job is attempted apart from its third delivery on, where there is a program to do that', () => {
  expect(suspectsFor(fresh, { deliveries: 1 }, { suspects })).toBeNull()
  expect(suspectsFor(fresh, third, { suspects })).toBe(suspects)
  expect(suspectsFor(fresh, { deliveries: 17 }, { suspects })).toBe(suspects)
  expect(suspectsFor(fresh, third, { suspects: null })).toBeNull()
})

test('a job whose items are all there is in no process apart: no function is called for it', () => {
  expect(suspectsFor({ accepted: 'claim' }, third, { suspects })).toBeNull()
})

const job: HeldJob = { ...aJob, payload: null, cursor: null, accepted: null, step: aStep }

/** The job as somebody else has it. */
const taken: FoundJob = {
  ...aJob,
  status: 'running',
  claim: 'of another',
  payload: null,
  cursor: null,
  accepted: null,
  workflowId: aStep.workflowId,
  version: aStep.version,
  runStatus: 'running',
}

const done: Answer = {
  kind: 'ended',
  ending: { kind: 'succeeded', placed: { kind: 'output', output: 1 } },
  elapsedMs: 1,
}

/** Runs a suspect that others had; `isFree` says whether it can be taken over, `isLost` whether a beat says meanwhile that it was. */
const run = async ({ isFree = true, isLost = false }: { isFree?: boolean; isLost?: boolean }) => {
  const did: string[] = []
  let beating: Beating | undefined
  const unused = () => Promise.reject(new Error('it is not for this job'))
  const delivered = await runSuspect(
    functionOf(aStep.functionName, () => undefined),
    { kind: 'run', job, isTakeover: true },
    { ...third, reference: { jobId: job.id, seq: job.seq }, redelivered: true },
    {
      claim: async ({ next }) => {
        did.push(next === job.claim ? 'kept' : 'taken')
        return isFree
      },
      beats: {
        add: (one) => {
          beating = one
          return async () => {}
        },
      },
      stopped: new AbortController().signal,
      find: async () => taken,
      commit: async ({ ending }) => {
        did.push('committed')
        return { kind: 'written', ending }
      },
      ownUnits: unused,
      pages: { write: unused, hide: unused, seal: unused, accept: unused },
      pageItems: 1,
      continueMs: 1,
    },
    {
      attempt: async () => {
        did.push('attempted')
        beating?.beat()
        if (isLost) beating?.answered({ isOurs: false, isClaimed: false, isCancelled: false })
        return done
      },
    },
    INVALID_SPAN_CONTEXT,
  )
  return { did, delivered }
}

test('a suspect that others had is taken over before it is attempted, and is written by who still has it', async () => {
  expect(await run({})).toMatchObject({ did: ['taken', 'attempted', 'committed'], delivered: { kind: 'written' } })
})

test('one that somebody took first is not attempted', async () => {
  const dropped = { kind: 'dropped', reason: 'held by another' }
  expect(await run({ isFree: false })).toEqual({ did: ['taken'], delivered: dropped })
})

test('one that somebody took meanwhile is not written', async () => {
  const dropped = { kind: 'dropped', reason: 'held by another' }
  expect(await run({ isLost: true })).toEqual({ did: ['taken', 'attempted'], delivered: dropped })
})
