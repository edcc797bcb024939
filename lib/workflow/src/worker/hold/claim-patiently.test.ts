import { expect, test } from 'vitest'
import { aJob } from '../../../test/a-job.ts'
import type { TakenJob } from '../../job/claim-jobs.ts'
import { type ClaimOnBelt, claimFree, createPatientClaim } from './claim-patiently.ts'

const lockedOut = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })

const taken: TakenJob = { attempt: 0, emitted: 0, cursor: null, accepted: null }

const patienceMs = 600_000

const claimOf = (id: string): ClaimOnBelt => ({ job: { ...aJob, id }, next: `next of ${id}` })

/** A table of jobs, of which some are locked; a look sees those that are not `unseen`. */
const setUp = ({ locked, unseen = [] }: { locked: string[]; unseen?: string[] }) => {
  const asked: string[][] = []
  const claim = async (claims: readonly ClaimOnBelt[]) => {
    const ids = claims.map(({ job }) => job.id)
    asked.push(ids)
    if (ids.some((id) => locked.includes(id))) throw lockedOut
    return new Map(claims.filter(({ job }) => job.id !== 'lost').map((one) => [one, taken]))
  }
  const look = async () => new Set(locked.filter((id) => !unseen.includes(id)))
  return { asked, ask: claimFree(claim, look) }
}

test('jobs that somebody holds are told as held, and the others are taken without them', async () => {
  const { asked, ask } = setUp({ locked: ['b', 'd'] })
  const [a, b, lost, d] = ['a', 'b', 'lost', 'd'].map(claimOf)
  if (a === undefined || b === undefined || lost === undefined || d === undefined) throw new Error('there are four')
  expect(await ask([a, b, lost, d])).toEqual(
    new Map<ClaimOnBelt, TakenJob | 'held'>([
      [b, 'held'],
      [d, 'held'],
      [a, taken],
    ]),
  )
  expect(asked).toEqual([
    ['a', 'b', 'lost', 'd'],
    ['a', 'lost'],
  ])
  expect(await ask([b])).toEqual(new Map([[b, 'held']]))
})

test('where none is found held it is thrown that the wait was given up', async () => {
  const { ask } = setUp({ locked: ['b'], unseen: ['b'] })
  await expect(ask([claimOf('a'), claimOf('b')])).rejects.toBe(lockedOut)
})

test('a job that is held is claimed again when it is free, and one that is known to be held not before', async () => {
  const answers: (TakenJob | 'held' | undefined)[] = ['held', taken]
  const free = Promise.withResolvers<true>()
  const isKnown = { held: false }
  let heldUp = 0
  const claim = createPatientClaim({
    inGroup: async () => answers.shift(),
    waits: {
      isHeld: () => isKnown.held,
      untilFree: () => {
        isKnown.held = true
        return free.promise
      },
    },
    patienceMs,
    onHeld: () => (heldUp += 1),
  })
  const first = claim({ ...claimOf('a'), sinceMs: null })
  await expect.poll(() => isKnown.held).toBe(true)
  const second = claim({ ...claimOf('a'), sinceMs: null })
  await Promise.resolve()
  expect(answers).toEqual([taken])
  isKnown.held = false
  free.resolve(true)
  expect([await first, await second]).toEqual([taken, undefined])
  expect(heldUp).toBe(2)
})

test('a job that is waited for no more is not claimed: within an attempt not before its delivery has lasted, else soon', async () => {
  const waitedMs: number[] = []
  const claim = createPatientClaim({
    inGroup: async () => 'held',
    waits: {
      isHeld: () => false,
      untilFree: async (_, __, untilMs) => {
        waitedMs.push(untilMs - performance.now())
        return false
      },
    },
    patienceMs,
    onHeld: () => {},
  })
  for (const sinceMs of [null, performance.now() - 500_000]) {
    await expect(claim({ ...claimOf('a'), sinceMs })).rejects.toMatchObject({ code: 'held_up' })
  }
  expect(waitedMs[0]).toBeLessThanOrEqual(5_000)
  expect(waitedMs[1]).toBeLessThanOrEqual(100_000)
  expect(waitedMs[1]).toBeGreaterThan(90_000)
})
