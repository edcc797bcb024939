import { expect, test } from 'vitest'
import { aJob } from '../../../test/a-job.ts'
import type { Ending, FinishedJob } from '../../job/held-job.ts'
import type { GroupFate } from './commit-group.ts'
import { createPatientCommit, putOffForLock } from './commit-patiently.ts'

const succeeded: Ending = { kind: 'succeeded', placed: { kind: 'output', output: 1 } }
const finished: FinishedJob = { job: aJob, ending: succeeded, elapsedMs: 1_000 }
const heldUp: GroupFate = { kind: 'held up', lock: aJob.runId }

/**
 * Ends whose groups answer one after the other as given, and then with what was to be written; locks are waited for by
 * hand.
 */
const setup = (answers: GroupFate[], { isKnown = false, isStopped = false, patienceMs = 600_000 } = {}) => {
  const written: Ending[] = []
  const waiting: { lock: string; mostMs: number; answer: (isFree: boolean) => void }[] = []
  const commit = createPatientCommit({
    inGroup: async ({ ending }) => {
      written.push(ending)
      return answers.shift() ?? { kind: 'written', ending }
    },
    waits: {
      isHeld: () => isKnown,
      isStopped: () => isStopped,
      untilFree: (_, lock, untilMs) =>
        new Promise((resolve) => waiting.push({ lock, mostMs: untilMs - performance.now(), answer: resolve })),
    },
    patienceMs,
  })
  return { commit, written, waiting }
}

/** Lets what is under way come as far as it can. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

const putOff = { kind: 'requeued', attempt: aJob.attempt, delayMs: 10_000, error: { code: 'snoozed' } }

test('an end whose run is held locked is written when that is free, and what it met next as well', async () => {
  const { commit, written, waiting } = setup([heldUp, { kind: 'held up', lock: aJob.id }])
  const fate = commit(finished, performance.now())
  await settled()
  waiting[0]?.answer(true)
  await settled()
  expect(waiting.map(({ lock }) => lock)).toEqual([aJob.runId, aJob.id])
  waiting[1]?.answer(true)
  expect(await fate).toEqual({ kind: 'written', ending: succeeded })
  expect(written).toEqual([succeeded, succeeded, succeeded])
})

test('an end of a run that is known to be held waits before it is in any group, and one that comes again does not', async () => {
  const { commit, written, waiting } = setup([], { isKnown: true })
  const fate = commit(finished, performance.now())
  await settled()
  expect(written).toEqual([])
  const again: Ending = { kind: 'requeued', attempt: 1, delayMs: 5, error: null }
  expect(await commit({ ...finished, ending: again }, performance.now())).toEqual({ kind: 'written', ending: again })
  waiting[0]?.answer(true)
  expect(await fate).toEqual({ kind: 'written', ending: succeeded })
})

test('an end waits for as long as its delivery may last, however little of that was its attempt, and then gets a new message', async () => {
  for (const [takenMs, mostMs] of [
    [0, 600_000],
    [500_000, 100_000],
    [650_000, -50_000],
  ] as const) {
    const { commit, waiting } = setup([heldUp, heldUp])
    const fate = commit(finished, performance.now() - takenMs)
    await settled()
    expect(waiting[0]?.mostMs).toBeGreaterThan(mostMs - 5_000)
    expect(waiting[0]?.mostMs).toBeLessThanOrEqual(mostMs)
    waiting[0]?.answer(false)
    expect(await fate).toMatchObject({ kind: 'written', ending: putOff })
  }
})

test('an end that has lost its patience is tried once more before its result is given up', async () => {
  const { commit, written, waiting } = setup([], { isKnown: true })
  const fate = commit(finished, performance.now())
  await settled()
  expect(written).toEqual([])
  waiting[0]?.answer(false)
  expect(await fate).toEqual({ kind: 'written', ending: succeeded })
  expect(written).toEqual([succeeded])
})

test('when its worker is asked to stop an end that waits is not tried again, and gets a new message', async () => {
  const { commit, written, waiting } = setup([heldUp], { isStopped: true })
  const fate = commit(finished, performance.now())
  await settled()
  waiting[0]?.answer(false)
  expect(await fate).toMatchObject({ kind: 'written', ending: putOff })
  expect(written).toMatchObject([succeeded, putOff])
})

test('an end that only puts its job off waits for nothing', async () => {
  const { commit, waiting } = setup([{ kind: 'held up', lock: aJob.id }])
  const fate = commit({ ...finished, ending: putOffForLock(aJob) }, performance.now())
  await expect(fate).rejects.toMatchObject({ code: 'held_up' })
  expect(waiting).toEqual([])
})

test('of a job whose own row is held locked for too long nothing is written', async () => {
  const ofJob: GroupFate = { kind: 'held up', lock: aJob.id }
  for (const [answers, tries] of [
    // Not tried again: whoever has it is not one of many that have it in turn.
    [[ofJob], 1],
    // Its run is free again by then, or is not needed to put it off.
    [[heldUp, heldUp, ofJob], 3],
  ] as const) {
    const { commit, written, waiting } = setup([...answers])
    const fate = commit(finished, performance.now())
    await settled()
    waiting[0]?.answer(false)
    await expect(fate).rejects.toMatchObject({ code: 'held_up' })
    expect(written).toHaveLength(tries)
  }
})
