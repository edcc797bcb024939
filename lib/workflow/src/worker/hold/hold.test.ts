import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import type { Claim } from '../../job/claim-jobs.ts'
import type { Beating } from './beats.ts'
import { holdJob } from './hold.ts'

const notOurs = { isOurs: false, isClaimed: false, isCancelled: false }

/** A job that is held and taken, with the beat for it that a turn would send. */
const setUp = async () => {
  const claims: Omit<Claim, 'job'>[] = []
  let beating: Beating | undefined
  const stopped = new AbortController()
  const hold = holdJob(
    { ...aJob, payload: null, cursor: null, accepted: null, step: aStep },
    {
      claim: async ({ next }) => {
        claims.push({ next })
        return { attempt: 0, emitted: 20, cursor: 20, accepted: null }
      },
      beats: {
        add: (one) => {
          beating = one
          return async () => {}
        },
      },
      stopped: stopped.signal,
    },
    { receivedMs: 0 },
  )
  await hold.take()
  const ended = Promise.withResolvers<void>()
  const attempt = hold.during(async (lost) => {
    await ended.promise
    return lost.aborted
  })
  if (beating === undefined) throw new Error('there is no beat')
  const end = (): Promise<boolean> => {
    ended.resolve()
    return attempt
  }
  return { hold, beating, claims, end, stop: () => stopped.abort() }
}

test('a job is held as it stood when it was taken, not as it was found', async () => {
  const { hold, end } = await setUp()
  expect(hold.job()).toMatchObject({ emitted: 20, cursor: 20 })
  await end()
})

test('a beat that finds another claim ends the attempt', async () => {
  const { hold, beating, end } = await setUp()
  beating.beat()
  beating.answered(notOurs)
  expect([await end(), await hold.isOurs()]).toEqual([true, false])
})

test('an attempt that still runs when its worker has stopped is given up', async () => {
  const { stop, end } = await setUp()
  stop()
  expect(await end()).toBe(true)
})

test('a claim that is renewed is another one, and a beat that was under way with the old one says nothing', async () => {
  const { hold, beating, claims, end } = await setUp()
  beating.beat()
  expect(await hold.renew()).toBe(true)
  beating.answered(notOurs)
  expect(new Set(claims.map(({ next }) => next)).size).toBe(2)
  expect(hold.job().claim).toBe(claims[1]?.next)
  expect([await end(), await hold.isOurs()]).toEqual([false, true])
})
