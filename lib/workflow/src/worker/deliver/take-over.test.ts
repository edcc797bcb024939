import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import { takeOver } from './take-over.ts'

const reference = { jobId: aJob.id, seq: aJob.seq }

/** A job that nobody had when it was found; `claims` are those that it has, one after the other, null when it is over. */
const setUp = (claims: readonly (string | null)[]) => {
  const asked: (string | null)[] = []
  let moment = 0
  const standing = () => claims[Math.min(moment, claims.length - 1)] ?? null
  const hold = {
    take: async (from: string | null = null) => {
      asked.push(from)
      return standing() === from
    },
  }
  const find = async (): Promise<FoundJob> => {
    const claim = standing()
    moment += 1
    return {
      ...aJob,
      status: claim === null ? 'succeeded' : 'running',
      claim,
      payload: null,
      cursor: null,
      accepted: null,
      workflowId: aStep.workflowId,
      version: aStep.version,
      runStatus: 'running',
    }
  }
  return { asked, hold, find }
}

test('a message that came again takes the job also from whoever marked it since it was found', async () => {
  const { asked, hold, find } = setUp(['a', 'a'])
  expect(await takeOver(hold, { reference, redelivered: true }, { find })).toBe(true)
  expect(asked).toEqual([null, 'a'])
})

test('it goes on asking while others take the job in between, and ends when the job is over', async () => {
  const { asked, hold, find } = setUp(['a', 'b', 'b'])
  expect(await takeOver(hold, { reference, redelivered: true }, { find })).toBe(true)
  expect(asked).toEqual([null, 'a', 'b'])
  const over = setUp(['a', null])
  expect(await takeOver(over.hold, { reference, redelivered: true }, { find: over.find })).toBe(false)
  expect(over.asked).toEqual([null, 'a'])
})

test('one that came once leaves the job to whoever was first, whose own message answers for it', async () => {
  const { asked, hold, find } = setUp(['a'])
  expect(await takeOver(hold, { reference, redelivered: false }, { find })).toBe(false)
  expect(asked).toEqual([null])
})
