import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Command, commands } from '../../test/commands.ts'
import { type Ending, firstFunctions } from '../../test/told-functions.ts'
import type { JobRow, Message } from '../../test/run-rows.ts'
import { type Attempt, openTwoWorkers, type RunOfTwo, type TwoWorkers } from '../../test/two-workers.ts'
import { isOver, type JobStatus, statusesBefore, transitions } from '../job/transitions.ts'

let house: TwoWorkers
beforeAll(async () => {
  house = await openTwoWorkers()
})
afterAll(() => house.close())

/** Whether what this attempt writes must be taken, with the job's row as it is. */
const fits = (jobs: Jobs, { message, claim }: Attempt): boolean => {
  const job = jobs.get(message.jobId)
  return job?.seq === message.seq && job.claim === claim() && statusesBefore('succeed').includes(job.status)
}

type Jobs = ReadonlyMap<string, JobRow>

/** What may become of a status by any number of events. */
const within = (status: JobStatus): Set<JobStatus> => {
  const reached = new Set<JobStatus>([status])
  for (const from of reached) for (const to of Object.values(transitions[from])) reached.add(to)
  return reached
}

const isAt = ({ message }: Attempt, { id }: JobRow): boolean => message.jobId === id

const oneOf = <Item>(items: readonly Item[], at: number): Item | undefined => items[at % items.length]

/**
 * What was done to the belt: how often each message was copied, of which none is left, and which came again to somebody
 * who did not take its job over in time. Of the last two kinds the search may send jobs again (decision 0017).
 */
type Belt = { copies: Map<string, number>; lost: Set<string>; untaken: Set<string> }

const messagesOn = ({ belt }: RunOfTwo): Message[] => belt.flatMap((one) => ('probe' in one ? [] : [one]))

const keyOf = ({ jobId, seq }: Pick<Message, 'jobId' | 'seq'>): string => `${jobId} ${seq}`

/** Attempts whose function is at work. */
const begunOf = ({ attempts }: RunOfTwo): Attempt[] => attempts.filter(({ told }) => told !== null)

/** One of these whose function is at work; if there is none, of what is on the belt something is begun. */
const anyBegun = async (
  run: RunOfTwo,
  at: number,
  suits: (attempt: Attempt) => boolean,
): Promise<Attempt | undefined> => {
  const begun = oneOf(begunOf(run).filter(suits), at)
  if (begun !== undefined) return begun
  await run.publish()
  const message = oneOf(messagesOn(run), at)
  if (message !== undefined) await goOn(run, await run.find(at, message))
  return oneOf(begunOf(run).filter(suits), at)
}

/** Attempts at a message that came again, whose job is not taken over yet. */
const untakenOf = ({ attempts }: RunOfTwo): Attempt[] =>
  attempts.filter(({ attached, told, message }) => attached && told === null && message.redelivered)

/** A worker goes, and what it has in hand goes back: behind a probe that was to come out after it, as may be. */
const strike = async (run: RunOfTwo, { untaken }: Belt, goes: () => void | Promise<void>): Promise<void> => {
  const before = untakenOf(run)
  const isProbed = run.belt.some((one) => 'probe' in one)
  await goes()
  for (const { attached, message } of before) if (isProbed && !attached) untaken.add(keyOf(message))
}

/** Lets an attempt go on behind its find: nobody who had its job before can write it any more, if it took that over. */
const goOn = async (run: RunOfTwo, attempt: Attempt): Promise<void> => {
  if (attempt.isOwn) {
    // With the row of its job nobody has to be taken over: whoever has it already is waited for.
    if (run.hasRoom()) await run.goOn(attempt)
    return
  }
  const others = run.attempts.filter((other) => other !== attempt && other.message.jobId === attempt.message.jobId)
  if ((await run.goOn(attempt)) !== 'begun' || !attempt.isTakeover) return
  const jobs = await run.jobs()
  expect(
    others.filter((other) => fits(jobs, other)),
    'attempts at a job that was taken over',
  ).toEqual([])
}

/** Ends the function of an attempt with a unit of work of its own, and says what must come of it. */
const finishUnit = async (run: RunOfTwo, attempt: Attempt, told: Ending, fitted: boolean): Promise<void> => {
  const [held, alone] = [run.holds(attempt), run.isAlone(attempt)]
  const became = await run.finishUnit(attempt, told)
  const won = { kind: 'written', ending: { kind: 'succeeded' } }
  if (held) expect(fitted, 'the row of a job whose lock is held').toBe(true)
  if (held && told.how === 'done') expect(became).toMatchObject(won)
  if (held && alone) expect(became).toMatchObject({ kind: 'written' })
  if (!held) expect(became, 'an attempt whose session was lost').not.toMatchObject(won)
  if (!held && !fitted) expect(became).toMatchObject({ kind: 'dropped' })
}

/** The function of an attempt gives items: of a job that is its own they are written, and of any other none is. */
const giveItems = async (
  run: RunOfTwo,
  attempt: Attempt,
  items: number,
  mayWrite: boolean,
  isUnheard: boolean,
): Promise<void> => {
  if (attempt.continues) {
    const { kind } = await run.giveAndContinue(attempt, items)
    expect(kind).toBeOneOf([mayWrite ? 'written' : 'dropped', ...(isUnheard ? ['dropped'] : [])])
    expect(fits(await run.jobs(), attempt), 'the row of a job that goes on').toBe(false)
    return
  }
  const { goesOn, pages } = await run.give(attempt, items)
  if (!mayWrite) expect(pages, "pages of a job that is another's").toBe(0)
  if (mayWrite) expect(goesOn, 'the holder of a job goes on').toBe(true)
}

/** Does what is asked for, where there is something to do it with, and says what must come of it. */
const obey = async (run: RunOfTwo, command: Command, before: Jobs, belt: Belt): Promise<void> => {
  switch (command.kind) {
    case 'publish':
      return run.publish()
    case 'duplicate': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message === undefined) return
      run.belt.push({ ...message, redelivered: false })
      belt.copies.set(keyOf(message), (belt.copies.get(keyOf(message)) ?? 0) + 1)
      return
    }
    case 'lose': {
      const message = oneOf(run.belt, command.pick)
      if (message === undefined) return
      run.belt.splice(run.belt.indexOf(message), 1)
      if (!('probe' in message)) belt.lost.add(keyOf(message))
      return
    }
    case 'seeProbe': {
      const at = run.belt.findIndex((one) => 'probe' in one)
      for (const message of run.belt.slice(0, Math.max(at, 0))) {
        if ('probe' in message) continue
        const attempt = await run.find(command.which, message)
        if (!attempt.isOwn || run.hasRoom()) await run.goOn(attempt)
      }
      return run.seeProbe()
    }
    case 'probe': {
      const stillUntaken = untakenOf(run).map(({ message }) => keyOf(message))
      const sent = await run.probe()
      await run.publish()
      for (const id of sent) {
        const was = before.get(id)
        const key = keyOf({ jobId: id, seq: was?.seq ?? 0 })
        expect(
          [...belt.lost, ...belt.untaken, ...stillUntaken],
          `a job on the belt that was sent again, when it was ${was?.status}`,
        ).toContain(key)
      }
      return
    }
    case 'search': {
      // The whole way, which hardly comes about by chance: what is in hand at the first sight goes back before the second.
      const steps: Command[] = [
        { kind: 'probe' },
        { kind: 'seeProbe', which: command.which },
        { kind: 'loseBroker', which: 0 },
        { kind: 'loseBroker', which: 1 },
        { kind: 'probe' },
        { kind: 'seeProbe', which: command.which },
        { kind: 'probe' },
      ]
      for (const step of steps) await obey(run, step, await run.jobs(), belt)
      return
    }
    case 'find': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message !== undefined) await run.find(command.which, message)
      return
    }
    case 'receive': {
      const message = oneOf(messagesOn(run), command.pick)
      if (message !== undefined) await goOn(run, await run.find(command.which, message))
      return
    }
    case 'receiveUnheard': {
      await run.publish()
      const message = oneOf(messagesOn(run), command.pick)
      if (message === undefined) return
      // As if it had been in the hands of somebody whose link fell at once.
      message.redelivered = true
      const attempt = await run.find(command.which, message)
      return attempt.isOwn ? goOn(run, attempt) : run.unheard('with asked as', () => goOn(run, attempt))
    }
    case 'goOn': {
      const attempt = oneOf(run.found(), command.pick)
      if (attempt !== undefined) await goOn(run, attempt)
      return
    }
    case 'strike':
      // Whatever comes next comes to the same.
      return run.strike(command.rows)
    case 'loseSession': {
      const attempt = oneOf(run.attempts.filter(run.holds), command.pick)
      if (attempt !== undefined) await run.loseSession(attempt)
      return
    }
    case 'give':
    case 'giveUnheard': {
      const gives = ({ told }: Attempt): boolean => told !== null && told.give !== null
      const isUnheard = command.kind === 'giveUnheard'
      const attempt = await (isUnheard
        ? anyBegun(run, command.pick, gives)
        : oneOf(run.attempts.filter(gives), command.pick))
      if (attempt === undefined) return
      const mayWrite = fits(await run.jobs(), attempt)
      const give = () => giveItems(run, attempt, command.items, mayWrite, isUnheard)
      return isUnheard ? run.unheard('commit', give) : give()
    }
    case 'finishUnheard': {
      const attempt = await anyBegun(run, command.pick, ({ isOwn }) => !isOwn)
      if (attempt === undefined) return
      const mustWin = fits(await run.jobs(), attempt)
      const end = await run.unheard('commit', () => run.finish(attempt, command.ending))
      // What was written and not heard of is found to be over, or to have moved on, when it is written again.
      expect(end.kind).toBeOneOf(mustWin ? ['written', 'dropped'] : ['dropped'])
      expect(fits(await run.jobs(), attempt), 'the row of a job that is written').toBe(false)
      return
    }
    case 'finish': {
      const attempt = oneOf(begunOf(run), command.pick)
      if (attempt === undefined) return
      const mustWin = fits(before, attempt)
      if (attempt.isOwn) return finishUnit(run, attempt, command.ending, mustWin)
      expect((await run.finish(attempt, command.ending)).kind).toBe(mustWin ? 'written' : 'dropped')
      return
    }
    case 'finishTogether': {
      const begun = begunOf(run)
      const first = oneOf(begun, command.pick)
      const second = begun.find((other) => other !== first && other.message.jobId === first?.message.jobId)
      // Of those that have the row of their job there are no two.
      if (first === undefined || second === undefined || first.isOwn) return
      const mayWin = [first, second].filter((attempt) => fits(before, attempt)).length
      const ends = await Promise.all([run.finish(first, command.ending), run.finish(second, { how: 'done', items: 2 })])
      expect(ends.filter((end) => end.kind === 'written')).toHaveLength(Math.min(1, mayWin))
      return
    }
    case 'beat':
      return run.beat(command.which)
    case 'loseBroker':
      return strike(run, belt, () => run.loseBroker(command.which))
    case 'kill':
      return strike(run, belt, () => run.kill(command.which))
    case 'retry': {
      const job = oneOf([...before.values()], command.pick)
      if (job === undefined) return
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      const answer = isCancelled ? 'run cancelled' : job.status === 'failed' ? 'sent' : 'job not failed'
      expect(await run.retry(job.id)).toBe(answer)
      return
    }
    case 'retryOther': {
      // Those of the second step have their place as payload, and keep it.
      const job = [...before.values()].find(({ isFirst }) => isFirst)
      if (job === undefined) return
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      const isFailed = job.hasGiven ? 'job has given items' : 'sent'
      const answer = isCancelled ? 'run cancelled' : job.status === 'failed' ? isFailed : 'job not failed'
      expect(await run.retry(job.id, { payload: command.pick })).toBe(answer)
      return
    }
    case 'cancelOne': {
      const job = oneOf([...before.values()], command.pick)
      // Who has the row of a job keeps it until it ends: that is waited for, and in vain.
      if (job === undefined || [...run.attempts, ...run.zombies].some((one) => run.holds(one) && isAt(one, job))) return
      const isEnded = job.status === 'succeeded' || job.status === 'failed'
      expect(await run.cancelOne(job.id)).toEqual(isEnded ? { over: job.status } : 'cancelled')
      return
    }
    case 'retryAll': {
      const failed = [...before.values()].filter(({ status }) => status === 'failed').length
      const isCancelled = (await run.runStatus()).startsWith('cancel')
      expect(await run.retryAll()).toEqual(isCancelled ? 'run cancelled' : { jobs: failed })
      return
    }
    case 'cancel':
      await run.cancel()
      return
    case 'sweep':
      return run.sweep()
  }
}

/**
 * Whether somebody has the job whose own message went back to the broker, and then to another, who lost the job to them and
 * acked it (decision 0001). They write it; and if they die, it is as good as lost.
 */
const isHeldWithoutMessage = ({ attempts, zombies }: RunOfTwo, jobId: string, claim: string | null): boolean =>
  claim !== null &&
  [...attempts, ...zombies].some((one) => !one.attached && one.message.jobId === jobId && one.claim() === claim)

/** What must hold after each command, whatever it was. */
const expectSound = async (run: RunOfTwo, before: Jobs, belt: Belt): Promise<Jobs> => {
  const jobs = await run.jobs()
  for (const [id, was] of before) {
    const job = jobs.get(id)
    expect([...within(was.status)], `${id} was ${was.status}`).toContain(job?.status)
    expect(job?.seq).toBeGreaterThanOrEqual(was.seq)
    if (isOver(was.status) && was.status !== 'failed') expect(job).toEqual(was)
  }
  for (const { status, claim } of jobs.values()) if (status !== 'running') expect(claim).toBeNull()
  const held = run.attempts.filter(({ attached }) => attached).map(({ message }) => message)
  const messages = [...(await run.waiting()), ...messagesOn(run), ...held].map(keyOf)
  for (const { id: jobId, seq, status, claim } of jobs.values()) {
    if (status !== 'queued' && status !== 'running') continue
    const valid = messages.filter((key) => key === keyOf({ jobId, seq })).length
    if (valid === 0 && isHeldWithoutMessage(run, jobId, claim)) belt.lost.add(keyOf({ jobId, seq }))
    const least = belt.lost.has(keyOf({ jobId, seq })) ? 0 : 1
    expect(valid, 'messages that are valid for a job on the belt').toBeGreaterThanOrEqual(least)
    expect(valid).toBeLessThanOrEqual(1 + (belt.copies.get(keyOf({ jobId, seq })) ?? 0))
  }
  expect(await run.untrueCounters()).toEqual([])
  expect(await run.unconserved()).toEqual([])
  expect(await run.misplaced(), 'items that are doubled or missing').toEqual([])
  expect(await run.misbooked(), 'rows of functions that are doubled, missing or left').toEqual([])
  return jobs
}

/** Both workers are killed, and then nothing happens any more but work, and the search for what was lost. */
const expectEnd = async (run: RunOfTwo): Promise<void> => {
  await run.kill(0)
  await run.kill(1)
  for (let round = 0; round < 50; round++) {
    await run.probe()
    await run.publish()
    if (messagesOn(run).length === 0) await run.sweep()
    for (let message = run.belt[0]; message !== undefined; message = run.belt[0]) {
      if ('probe' in message) {
        await run.seeProbe()
        continue
      }
      const attempt = await run.find(0, message)
      if ((await run.goOn(attempt)) !== 'begun') continue
      await (attempt.isOwn ? run.finishUnit : run.finish)(attempt, { how: 'done', items: 1 })
    }
    await run.settled()
  }
  const jobs = [...(await run.jobs()).values()]
  expect(jobs.filter(({ status }) => !isOver(status))).toEqual([])
  expect(await run.waiting()).toEqual([])
  const status = await run.runStatus()
  if (status !== 'cancelled') expect(status).toBe(jobs.some((job) => job.status === 'failed') ? 'failed' : 'succeeded')
  // What comes to life again writes nothing.
  for (const zombie of run.zombies.slice()) {
    const begun = zombie.told === null ? await run.goOn(zombie) : 'begun'
    const finish = zombie.isOwn ? run.finishUnit : run.finish
    const delivered = begun === 'begun' ? await finish(zombie, { how: 'done', items: 3 }) : begun
    expect(delivered).toMatchObject({ kind: 'dropped' })
  }
  expect([...(await run.jobs()).values()]).toEqual(jobs)
}

test('whatever happens to two workers and the belt, each job moves as the table allows, and is done once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...firstFunctions), commands, async (firstFunction, list) => {
      const run = await house.beginRun(firstFunction)
      const belt: Belt = { copies: new Map(), lost: new Set(), untaken: new Set() }
      let jobs: Jobs = await run.jobs()
      for (const command of list) {
        await obey(run, command, jobs, belt)
        await run.settled()
        jobs = await expectSound(run, jobs, belt)
      }
      await expectEnd(run)
      await expectSound(run, await run.jobs(), belt)
    }),
    // Neither a case that hangs nor a search for a shorter one may use up the time: the seed is what tells.
    { numRuns: 15, timeout: 60_000, endOnFailure: true },
  )
}, 300_000)
