import { INVALID_SPAN_CONTEXT } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { functionOf } from '../../../test/engine.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { Beating } from '../hold/beats.ts'
import { heldUp } from '../commit/commit-patiently.ts'
import { runSuspect, suspectsFor } from './run-suspect.ts'
import type { Answer } from './messages.ts'
import type { Suspects } from './suspects.ts'

const suspects: Suspects = {
  attempt: () => Promise.reject(new Error('nobody is attempted here')),
  stop: () => {},
  stopWaiting: () => {},
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

const endings = {
  requeued: { kind: 'requeued', attempt: 1, delayMs: 0, error: null },
  cancelled: { kind: 'cancelled' },
} as const

const nextStep = { id: 'next', functionName: 'Next' }

/**
 * Runs a suspect that others had; `isFree` says whether it can be taken over, `accepted` what it stands at then, `isLost`
 * whether a beat says meanwhile that it was taken from here; `isHeld` whether somebody has its row locked.
 */
const run = async ({
  isFree = true,
  isLost = false,
  isHeld = false,
  accepted = null,
  heldPage = null,
  did = [],
}: {
  isFree?: boolean
  isLost?: boolean
  isHeld?: boolean
  accepted?: string | null
  heldPage?: { endsBy: keyof typeof endings } | null
  did?: string[]
}) => {
  const attempted: HeldJob[] = []
  let beating: Beating | undefined
  const unused = () => Promise.reject(new Error('it is not for this job'))
  const delivered = await runSuspect(
    functionOf(aStep.functionName, () => undefined),
    {
      kind: 'run',
      job:
        accepted === null && heldPage === null
          ? job
          : { ...job, step: { ...aStep, outputType: 'multiple', next: nextStep } },
      isTakeover: true,
    },
    { ...third, reference: { jobId: job.id, seq: job.seq }, redelivered: isFree, putOffs: 0, receivedMs: 0 },
    {
      claim: async ({ next }) => {
        did.push(next === job.claim ? 'kept' : 'taken')
        return isFree ? { attempt: 0, emitted: 10, cursor: 10, accepted } : undefined
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
      onHeld: () => did.push('told'),
      pages: {
        write: unused,
        hide: () => Promise.reject(heldUp()),
        seal: unused,
        accept: async () => ({ kind: 'none left' }),
      },
      pageItems: 1,
      continueMs: 1,
      random: () => 0,
    },
    {
      attempt: async (suspect, _, pages) => {
        did.push('attempted')
        if (heldPage !== null) {
          await pages?.write({ items: [1], cursor: undefined }).catch(() => {})
          return { ...done, ending: endings[heldPage.endsBy] }
        }
        attempted.push(suspect.job)
        if (isHeld) return { kind: 'held' }
        beating?.beat()
        if (isLost) beating?.answered({ isOurs: false, isClaimed: false, isCancelled: false })
        return done
      },
    },
    INVALID_SPAN_CONTEXT,
  )
  return { did, delivered, attempted }
}

test('a suspect that others had is taken over before it is attempted, and is written by who still has it', async () => {
  expect(await run({})).toMatchObject({ did: ['taken', 'attempted', 'committed'], delivered: { kind: 'written' } })
})

test('one that somebody took first is not attempted', async () => {
  const dropped = { kind: 'dropped', reason: 'held by another' }
  expect(await run({ isFree: false })).toMatchObject({ did: ['taken'], delivered: dropped, attempted: [] })
})

test('one that somebody took meanwhile is not written', async () => {
  const dropped = { kind: 'dropped', reason: 'held by another' }
  expect(await run({ isLost: true })).toMatchObject({ did: ['taken', 'attempted'], delivered: dropped })
})

test('one whose row somebody holds is told and put off, and nothing of it is written', async () => {
  const did: string[] = []
  await expect(run({ isHeld: true, did })).rejects.toMatchObject({ code: 'held_up' })
  expect(did).toEqual(['taken', 'attempted', 'told'])
})

test('it is attempted from where it stood when it was taken, and not where it was found', async () => {
  expect((await run({})).attempted).toMatchObject([{ emitted: 10, cursor: 10 }])
})

test('one whose items were all there when it was taken is not attempted: they are accepted', async () => {
  const written = { kind: 'written', ending: { kind: 'succeeded' } }
  expect(await run({ accepted: 'claim' })).toMatchObject({ did: ['taken', 'committed'], delivered: written })
})

test('one whose page waited for a lock for too long is put off, and is ended where its run was cancelled meanwhile', async () => {
  await expect(run({ heldPage: { endsBy: 'requeued' } })).rejects.toMatchObject({ code: 'held_up' })
  const written = { kind: 'written', ending: { kind: 'cancelled' } }
  expect(await run({ heldPage: { endsBy: 'cancelled' } })).toMatchObject({ delivered: written })
})
