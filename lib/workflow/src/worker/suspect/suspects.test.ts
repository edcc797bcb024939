import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { WorkflowError } from '../../errors.ts'
import type { Death } from './describe-death.ts'
import type { Answer, Suspect } from './messages.ts'
import type { PagesOfSuspect } from './case.ts'
import { createSuspects, type SuspectEvent, type Suspects } from './suspects.ts'
import type { Ward, WardHooks } from './ward.ts'

const place = { traceId: '1'.repeat(32), spanId: '1'.repeat(16), traceFlags: 0 }

const suspectOf = (id: string, does: unknown = 'good', timeoutMs = 60_000): Suspect => ({
  job: { ...aJob, id, payload: does, cursor: null, accepted: null, step: aStep },
  place,
  timeoutMs,
  stream: null,
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
 * aborted, one that `fills` its config never, one that `runs on` like a good one, and any other kills its ward in the next
 * turn, or before it has begun. One that `gives` has a page taken first, and then ends, or exits in its first ward; one that
 * `writes` says that its function was called, and writes its end for as long as the test takes.
 */
const openWards = () => {
  type Opened = { jobs: string[]; emitted: number[]; most: number; mayWait: boolean; isLeft: boolean; hooks: WardHooks }
  const wards: Opened[] = []
  const open = (hooks: WardHooks): Ward => {
    const atWork = new Set<number>()
    const taken = new Map<number, () => void>()
    const opened: Opened = { jobs: [], emitted: [], most: 0, mayWait: true, isLeft: false, hooks }
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
      opened.emitted.push(job.emitted)
      opened.most = Math.max(opened.most, atWork.size)
      await turn()
      if (isDead) return
      const death = deaths[String(job.payload)]
      if (job.payload !== 'never begins') hooks.begun(id)
      if (job.payload === 'fills') return
      if (job.payload !== 'never begins') hooks.filled(id)
      if (job.payload === 'never begins') die({ how: 'it was ended by SIGKILL', isOwn: false })
      else if (death !== undefined) die(death)
      else if (job.payload === 'writes') return hooks.called(id)
      else if (job.payload === 'gives') {
        await new Promise<void>((resolve) => {
          taken.set(id, resolve)
          hooks.gave(id, { items: [1, 2], cursor: 2 })
        })
        if (job.emitted === 0) die({ how: 'it ended with exit code 7', isOwn: true })
      }
      for (let turns = 0; turns < 3; turns += 1) await turn()
      if (job.payload !== 'waits') answer(id, job.payload === 'runs on')
    }
    return {
      attempt: (id, suspect) => void attempt(id, suspect),
      taken: (id) => taken.get(id)?.(),
      abort: (id) => answer(id),
      stopWaiting: () => {
        opened.mayWait = false
      },
      kill: (how) => die({ how, isOwn: true }),
      leave: () => {
        opened.isLeft = true
        setImmediate(() => die({ how: 'it was let go', isOwn: true }))
      },
    }
  }
  return { open, wards }
}

type Waits = { mostWaitMs?: number; idleMs?: number; overtimeMs?: number; judgeMs?: number; heldMs?: number }

/** Attempts whose deliveries have just come, unless it is said otherwise. */
const ofThisMoment = ({ attempt, stop, stopWaiting }: Suspects) => ({
  attempt: (suspect: Suspect, lost: AbortSignal, pages: PagesOfSuspect | null, receivedMs = performance.now()) =>
    attempt(suspect, lost, pages, receivedMs),
  stop,
  stopWaiting,
})

const setUp = (options: Waits = {}) => {
  const { open, wards } = openWards()
  const events: SuspectEvent[] = []
  const suspects = ofThisMoment(createSuspects({ open, observe: (event) => events.push(event), ...options }))
  const attempt = (id: string, does?: string, signal = new AbortController().signal) =>
    suspects.attempt(suspectOf(id, does), signal, null)
  return { wards, events, attempt, suspects }
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
  const { attempt } = createSuspects({
    open: (hooks) => {
      setImmediate(() => hooks.died({ how: 'it ended with exit code 2', isOwn: true }))
      return {
        attempt: () => {},
        taken: () => {},
        abort: () => {},
        stopWaiting: () => {},
        kill: () => {},
        leave: () => {},
      }
    },
    observe: () => {},
  })
  const attempts = ['a', 'b'].map((id) => attempt(suspectOf(id), unlost(), null, performance.now()))
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

test('one whose attempt would end too late for its delivery goes back before, and in time another has its turn', async () => {
  const { suspects } = setUp()
  const minuteMs = 60_000
  const longest = suspectOf('longest', 'good', 25 * minuteMs)
  const waited = (ms: number) => suspects.attempt(longest, unlost(), null, performance.now() - ms)
  // Room for its payload and its turn: with ten seconds more for its end it would be half a minute short of half an hour.
  await expect(waited(4.5 * minuteMs)).rejects.toThrow('it waited too long')
  expect(await waited(4 * minuteMs)).toEqual(done)
  const short = suspectOf('short', 'good', minuteMs)
  expect(await suspects.attempt(short, unlost(), null, performance.now() - 20 * minuteMs)).toEqual(done)
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

const next = { id: 'next', functionName: 'Next' }

const noPages: PagesOfSuspect = {
  next,
  job: () => suspectOf('job', 'gives').job,
  write: async () => {},
  seal: async () => {},
  again: async () => suspectOf('job', 'gives').job,
}

const unlost = () => new AbortController().signal

test('an attempt in another process goes on behind what was given in the one that died', async () => {
  const { suspects, wards } = setUp()
  const given: unknown[] = []
  const answer = suspects.attempt(suspectOf('job', 'gives'), unlost(), {
    ...noPages,
    write: async ({ items }) => {
      given.push(...items)
    },
    again: async () => ({ ...suspectOf('job', 'gives').job, emitted: given.length }),
  })
  // Alone in its process it would be to blame at once.
  const other = suspects.attempt(suspectOf('other', 'waits'), unlost(), null)
  expect(await answer).toEqual(done)
  expect(wards.map(({ jobs, emitted }) => [jobs[0], emitted[0]]).slice(0, 2)).toEqual([
    ['job', 0],
    ['job', 2],
  ])
  expect(given).toEqual([1, 2, 1, 2])
  suspects.stop()
  await expect(other).rejects.toThrow('the worker has stopped')
})

test('a job whose items are all there when its process dies is attempted no more', async () => {
  const { suspects, wards } = setUp()
  const other = suspects.attempt(suspectOf('other', 'waits'), unlost(), null)
  const pages = { ...noPages, again: async () => null }
  expect(await suspects.attempt(suspectOf('job', 'gives'), unlost(), pages)).toMatchObject({
    kind: 'ended',
    ending: { kind: 'succeeded', placed: { kind: 'items', items: [], next } },
  })
  expect(wards.filter(({ jobs }) => jobs.includes('job'))).toHaveLength(1)
  suspects.stop()
  await expect(other).rejects.toThrow('the worker has stopped')
})

test('when nobody knows what was given before its process died, its message goes back', async () => {
  const { suspects } = setUp()
  const other = suspects.attempt(suspectOf('other', 'waits'), unlost(), null)
  const pages = { ...noPages, again: () => Promise.reject(new Error('permission denied')) }
  await expect(suspects.attempt(suspectOf('job', 'gives'), unlost(), pages)).rejects.toThrow('permission denied')
  suspects.stop()
  await expect(other).rejects.toThrow('the worker has stopped')
})

test('while it is not known how far the guilty had come, no process is begun for others', async () => {
  const { suspects, attempt, wards, events } = setUp()
  const { job } = suspectOf('guilty', 'gives')
  const known = Promise.withResolvers<typeof job>()
  const works = new AbortController()
  const other = attempt('other', 'waits', works.signal)
  const guilty = suspects.attempt(suspectOf('guilty', 'gives'), unlost(), { ...noPages, again: () => known.promise })
  await expect.poll(() => events.length).toBe(1)
  const late = attempt('late')
  for (let turns = 0; turns < 20; turns += 1) await turn()
  expect(wards).toHaveLength(1)
  known.resolve({ ...job, emitted: 2 })
  await expect.poll(() => wards[1]?.jobs).toEqual(['other'])
  works.abort(new WorkflowError('cancelled', 'the run was cancelled'))
  expect([await other, await guilty, await late]).toEqual([done, done, done])
  expect(wards.map(({ jobs }) => jobs)).toEqual([['other', 'guilty'], ['other', 'guilty'], ['late']])
})

test('one whose last page waits for a lock when its process dies keeps no others from their turn', async () => {
  const { suspects, attempt, wards } = setUp({ judgeMs: 1 })
  const { job } = suspectOf('held', 'gives')
  const free = Promise.withResolvers<typeof job>()
  const held = suspects.attempt(suspectOf('held', 'gives'), unlost(), { ...noPages, again: () => free.promise })
  const other = attempt('other')
  expect(await attempt('guilty', 'exits')).toMatchObject(died('it ended with exit code 7'))
  expect([await other, await attempt('late')]).toEqual([done, done])
  free.resolve({ ...job, emitted: 2 })
  expect(await held).toEqual(done)
  expect(wards.flatMap(({ jobs }) => jobs.filter((id) => id === 'held'))).toHaveLength(2)
})

test('a process in which all wait for locks with their pages makes way for others, and they go on behind those in another', async () => {
  const { suspects, attempt, wards, events } = setUp({ heldMs: 1 })
  const page = Promise.withResolvers<void>()
  let isWriting = false
  const heldPages: PagesOfSuspect = {
    ...noPages,
    write: () => {
      isWriting = true
      return page.promise
    },
    again: async () => {
      if (isWriting) await page.promise
      return { ...suspectOf('held', 'gives').job, emitted: isWriting ? 2 : 0 }
    },
  }
  const killer = attempt('killer', 'exits')
  const held = suspects.attempt(suspectOf('held', 'gives'), unlost(), heldPages)
  expect(await killer).toMatchObject(died('it ended with exit code 7'))
  // It was in a process with the guilty, so by now no other may come to it.
  await expect.poll(() => isWriting).toBe(true)
  expect(await attempt('late')).toEqual(done)
  page.resolve()
  expect(await held).toEqual(done)
  expect(
    wards.flatMap(({ jobs, emitted }) => jobs.flatMap((id, nth) => (id === 'held' ? [emitted[nth]] : []))),
  ).toEqual([0, 0, 2])
  expect(events.every(({ jobs }) => jobs > 0)).toBe(true)
})

test('a process with a job that waits for a lock stays while nobody else waits for a turn, and takes others that may join', async () => {
  const { suspects, attempt, wards } = setUp({ heldMs: 1 })
  const page = Promise.withResolvers<void>()
  const held = suspects.attempt(suspectOf('held', 'gives'), unlost(), {
    ...noPages,
    write: () => page.promise,
    again: () => Promise.reject(new Error('its process is still there')),
  })
  await expect.poll(() => wards[0]?.jobs).toEqual(['held'])
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(await attempt('late')).toEqual(done)
  expect(wards).toMatchObject([{ jobs: ['held', 'late'], isLeft: false }])
  suspects.stop()
  await expect(held).rejects.toThrow('the worker has stopped')
})

test('a process with a job that is far over its time is killed, and the job fails', async () => {
  const { suspects } = setUp({ overtimeMs: 1 })
  expect(await suspects.attempt(suspectOf('job', 'waits', 1), unlost(), null)).toMatchObject(
    died('it took longer than 1 ms'),
  )
})

test('it is not over its time while its config is filled in', async () => {
  const { suspects, events, wards } = setUp({ overtimeMs: 1 })
  const answer = suspects.attempt(suspectOf('job', 'fills', 1), unlost(), null)
  await expect.poll(() => wards[0]?.jobs).toEqual(['job'])
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(events).toEqual([])
  // What its process dies of meanwhile is its own doing.
  wards[0]?.hooks.died({ how: 'it ended with exit code 7', isOwn: true })
  expect(await answer).toMatchObject(died('it ended with exit code 7'))
})

test('it is not over its time while its end is being written in its own process', async () => {
  const { suspects, events, wards } = setUp({ overtimeMs: 1 })
  const answer = suspects.attempt(suspectOf('job', 'writes', 1), unlost(), null)
  await expect.poll(() => wards[0]?.jobs).toEqual(['job'])
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(events).toEqual([])
  suspects.stop()
  await expect(answer).rejects.toThrow('the worker has stopped')
})

test('it is not over its time while a page of it is being written', async () => {
  const { suspects, events } = setUp({ overtimeMs: 1 })
  let isWriting = false
  const answer = suspects.attempt(suspectOf('job', 'gives', 1), unlost(), {
    ...noPages,
    write: () => {
      isWriting = true
      return new Promise(() => {})
    },
  })
  await expect.poll(() => isWriting).toBe(true)
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(events).toEqual([])
  suspects.stop()
  await expect(answer).rejects.toThrow('the worker has stopped')
})

test('a process that is there when the worker is asked to stop has nothing wait for its row, and so has the next', async () => {
  const { attempt, suspects, wards } = setUp()
  const first = attempt('first', 'waits')
  await expect.poll(() => wards[0]?.jobs).toEqual(['first'])
  expect(wards[0]?.mayWait).toBe(true)
  suspects.stopWaiting()
  expect(wards[0]?.mayWait).toBe(false)
  wards[0]?.hooks.died({ how: 'it was ended by SIGKILL', isOwn: false })
  await expect.poll(() => wards[1]?.jobs).toEqual(['first'])
  expect(wards[1]?.mayWait).toBe(false)
  suspects.stop()
  await expect(first).rejects.toThrow('the worker has stopped')
})
