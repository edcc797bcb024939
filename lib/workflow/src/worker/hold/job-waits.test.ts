import { expect, test } from 'vitest'
import { aJob } from '../../../test/a-job.ts'
import { createJobWaits } from './job-waits.ts'

/** Waits of jobs of a held run, each to be answered by hand; and how long each may take. */
const setup = ({ isCrowded = false, streams = ['none'] } = {}) => {
  let heldUp = 0
  const waiting: { mostMs: number; answer: (isFree: boolean) => void }[] = []
  const waits = createJobWaits({
    locks: {
      isHeld: (id) => id === aJob.runId,
      isStopped: () => false,
      untilFree: (_job, _id, mostMs = Infinity) => new Promise((resolve) => waiting.push({ mostMs, answer: resolve })),
    },
    mostWaiting: 2,
    memory: {
      isCrowded: () => isCrowded,
      holdUp: (jobId) => {
        if (!streams.includes(jobId)) return null
        heldUp += 1
        return () => {
          heldUp -= 1
        }
      },
    },
  })
  const wait = (job = aJob) => waits.untilFree(job, job.runId, performance.now() + 600_000)
  return { waits, wait, waiting, heldUp: () => heldUp }
}

test('of a function only so many jobs wait for long, and while they do no job of what is held begins', async () => {
  const { waits, wait, waiting } = setup()
  const other = { ...aJob, functionName: 'other' }
  const answers = [wait(), wait(), wait(), wait(other)]
  const [first = 0, second = 0, third = 0, ofOther = 0] = waiting.map(({ mostMs }) => mostMs)
  expect(Math.min(first, second, ofOther)).toBeGreaterThan(500_000)
  expect(third).toBe(5_000)
  expect([aJob, other, { ...aJob, runId: 'free' }].map(waits.isHeldBack)).toEqual([true, false, false])
  waiting[2]?.answer(false)
  expect(await answers[2]).toBe(false)
  expect(waits.isHeldBack(aJob)).toBe(true)
  for (const { answer } of waiting) answer(true)
  expect(await Promise.all(answers)).toEqual([true, true, false, true])
  expect(waits.isHeldBack(aJob)).toBe(false)
})

test('a stream that takes memory which others need has little patience, and no job of what is held begins', async () => {
  const { waits, wait, waiting, heldUp } = setup({ isCrowded: true, streams: [aJob.id] })
  const other = { ...aJob, id: 'no stream' }
  const answers = [wait(), wait(other)]
  const [ofStream = 0, ofOther = 0] = waiting.map(({ mostMs }) => mostMs)
  expect(ofStream).toBe(5_000)
  expect(ofOther).toBeGreaterThan(500_000)
  expect([waits.isHeldBack(aJob), waits.isHeldBack({ ...aJob, runId: 'free' }), heldUp()]).toEqual([true, false, 1])
  for (const { answer } of waiting) answer(true)
  await Promise.all(answers)
  expect(heldUp()).toBe(0)
})
