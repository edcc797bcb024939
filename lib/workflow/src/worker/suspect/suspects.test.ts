import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { WorkflowError } from '../../errors.ts'
import type { Death } from './describe-death.ts'
import type { Answer, Suspect } from './messages.ts'
import { createSuspects, type SuspectEvent } from './suspects.ts'
import type { Ward, WardHooks } from './ward.ts'

const place = { traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 0 }

const suspectOf = (id: string, does: unknown = 'good') => ({
  job: { ...aJob, id, payload: does, cursor: null, accepted: null, step: aStep },
  place,
  timeoutMs: 60_000,
})

const done: Answer = {
  kind: 'ended',
  ending: { kind: 'succeeded', placed: { kind: 'output', output: 1 } },
  elapsedMs: 1,
}

const deaths: Record<string, Death> = {
  exits: { how: 'it ended with exit code 7', isOwn: true },
  'is killed': { how: 'it was ended by SIGKILL', isOwn: false },
}

/**
 * Wards in which a job that is good ends after some turns of the event loop, one that `waits` only when its signal is
 * aborted, one that `runs on` like a good one, and any other kills its ward in the next turn, or before it has begun.
 */
const openWards = () => {
  const wards: { jobs: string[]; most: number; isLeft: boolean; hooks: WardHooks }[] = []
  const open = (hooks: WardHooks): Ward => {
    const atWork = new Set<number>()
    const opened = { jobs: [] as string[], most: 0, isLeft: false, hooks }
    let isDead = false
    wards.push(opened)
    const die = (death: Death) => {
      if (isDead) return
      isDead = true
      hooks.died(death)
    }
    const answer = (id: number, runsOn = false) => {
      if (isDead || !atWork.delete(id)) return
      hooks.answered(id, done, runsOn)
    }
    setImmediate(() => !isDead && hooks.ready())
    const attempt = async (id: number, { job }: Suspect): Promise<void> => {
      atWork.add(id)
      opened.jobs.push(job.id)
      opened.most = Math.max(opened.most, atWork.size)
      await turn()
      if (isDead) return
      const death = deaths[String(job.payload)]
      if (job.payload !== 'never begins') hooks.begun(id)
      if (job.payload === 'never begins') die({ how: 'it was ended by SIGKILL', isOwn: false })
      else if (death !== undefined) die(death)
      for (let turns = 0; turns < 3; turns += 1) await turn()
      if (job.payload !== 'waits') answer(id, job.payload === 'runs on')
    }
    return {
      attempt: (id, suspect) => void attempt(id, suspect),
      abort: (id) => answer(id),
      kill: (how) => die({ how, isOwn: true }),
      leave: () => {
        opened.isLeft = true
        setImmediate(() => die({ how: 'it was let go', isOwn: true }))
      },
    }
  }
  return { open, wards }
}

const setUp = (options: { mostWaitMs?: number; idleMs?: number } = {}) => {
  const { open, wards } = openWards()
  const events: SuspectEvent[] = []
  const suspects = createSuspects({ open, observe: (event) => events.push(event), ...options })
  const attempt = (id: string, does?: string, signal = new AbortController().signal) =>
    suspects.attempt(suspectOf(id, does), signal)
  return { wards, events, attempt }
}

const died = (how: string) => ({
  kind: 'ended',
  ending: {
    kind: 'failed',
    error: { code: 'process_died', message: `the process in which it ran alone died: ${how}` },
  },
})

test('suspects that are innocent run together in one process', async () => {
  const { attempt, wards, events } = setUp()
  const answers = await Promise.all(Array.from({ length: 250 }, (_, index) => attempt(`job ${index}`)))
  expect(answers).toEqual(answers.map(() => done))
  expect(wards).toMatchObject([{ most: 100 }])
  expect(events).toEqual([])
})

test('of a hundred the one that kills its process is found, and only that fails', async () => {
  const { attempt, wards, events } = setUp()
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => attempt(`job ${index}`, index === 57 ? 'exits' : 'good')),
  )
  for (const [index, answer] of answers.entries()) {
    if (index === 57) expect(answer).toMatchObject(died('it ended with exit code 7'))
    else expect(answer).toEqual(done)
  }
  const jobs = events.map((event) => event.jobs)
  expect([jobs[0], jobs.at(-1), jobs.length]).toEqual([100, 1, 4])
  expect(jobs[1]).toBeLessThanOrEqual(10)
  // One for each stage, and one for those after it in the stage in which they run one by one.
  expect(wards.length).toBeLessThanOrEqual(5)
  expect(wards.findLast((ward) => ward.jobs.includes('job 57'))?.jobs).toEqual(['job 57'])
})

test('two that each kill their process are both found', async () => {
  const { attempt } = setUp()
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => attempt(`job ${index}`, index % 20 === 3 ? 'exits' : 'good')),
  )
  expect(answers.filter((answer) => answer.kind === 'ended' && answer.ending.kind === 'failed')).toHaveLength(2)
  expect(answers.filter((answer) => answer === done)).toHaveLength(38)
})

test('a signal from outside proves nothing the first time', async () => {
  const { attempt, wards } = setUp()
  expect(await attempt('job', 'is killed')).toMatchObject(died('it was ended by SIGKILL'))
  expect(wards).toHaveLength(2)
})

test('a process that dies before it has begun a job says nothing of it, and its message goes back in the end', async () => {
  const { attempt, wards } = setUp()
  await expect(attempt('job', 'never begins')).rejects.toThrow('its process died before it began')
  expect(wards).toHaveLength(4)
})

test('when no process can be started all messages go back', async () => {
  const suspects = createSuspects({
    open: (hooks) => {
      setImmediate(() => hooks.died({ how: 'it ended with exit code 2', isOwn: true }))
      return { attempt: () => {}, abort: () => {}, kill: () => {}, leave: () => {} }
    },
    observe: () => {},
  })
  const attempts = ['a', 'b'].map((id) => suspects.attempt(suspectOf(id), new AbortController().signal))
  expect((await Promise.allSettled(attempts)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await expect(attempts[0]).rejects.toThrow('could not be started: it ended with exit code 2')
})

/** One that runs for as long as it likes, alone, while another waits for its turn behind it. */
const setUpQueue = async (mostWaitMs = 60_000) => {
  const { attempt, wards, events } = setUp({ mostWaitMs })
  const works = new AbortController()
  const long = attempt('long', 'waits', works.signal)
  const killer = attempt('killer', 'exits')
  killer.catch(() => {})
  await expect.poll(() => wards[1]?.jobs).toEqual(['long'])
  return { attempt, wards, events, long, killer, works }
}

test('a cancel, or a loss, ends one that waits, and reaches the function of one at work', async () => {
  const { attempt, long, killer, works } = await setUpQueue()
  const waits = new AbortController()
  const behind = attempt('behind', 'good', waits.signal)
  waits.abort(new WorkflowError('cancelled', 'the run was cancelled'))
  expect(await behind).toEqual({ kind: 'ended', ending: { kind: 'cancelled' }, elapsedMs: 0 })
  const taken = new AbortController()
  const lost = attempt('taken', 'good', taken.signal)
  taken.abort(new WorkflowError('attempt_failed', 'another worker has taken the job over'))
  expect(await lost).toEqual({ kind: 'lost' })
  works.abort(new WorkflowError('cancelled', 'the run was cancelled'))
  expect(await long).toEqual(done)
  expect(await killer).toMatchObject(died('it ended with exit code 7'))
})

test('one that waits too long goes back, and what is known of it is not forgotten', async () => {
  const { attempt, wards, killer, long, works } = await setUpQueue(300)
  await expect(killer).rejects.toThrow('it waited too long')
  works.abort()
  await long
  expect(await attempt('killer', 'exits')).toMatchObject(died('it ended with exit code 7'))
  expect(wards.map(({ jobs }) => jobs)).toEqual([['long', 'killer'], ['long', 'killer'], ['killer']])
})

test('a process in which a function runs on takes no more jobs', async () => {
  const { attempt, wards } = setUp()
  await attempt('first', 'runs on')
  await attempt('second')
  expect(wards.map(({ jobs, isLeft }) => [jobs, isLeft])).toEqual([
    [['first'], true],
    [['second'], false],
  ])
})

test('a process without work is let go', async () => {
  const { attempt, wards } = setUp({ idleMs: 1 })
  await attempt('job')
  await expect.poll(() => wards[0]?.isLeft).toBe(true)
  await attempt('next')
  expect(wards).toHaveLength(2)
})
