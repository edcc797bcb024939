import { expect } from 'vitest'
import type { KillWard } from './commands.ts'
import { type Belt, fits, keyOf, messagesOn, oneOf } from './of-two.ts'
import type { Ending } from './told-functions.ts'
import type { Attempt } from './attempt-of-two.ts'
import type { RunOfTwo } from './two-workers.ts'

/** Attempts whose function is at work, and not about to end its process. */
export const begunOf = ({ attempts, poison }: RunOfTwo): Attempt[] =>
  attempts.filter(({ told, message }) => told !== null && !poison.has(message.jobId))

/** Whether its function gives items before its end. */
export const gives = ({ told }: Attempt): boolean => told !== null && told.give !== null

/** One of these whose function is at work; if there is none, of what is on the belt something is begun. */
export const anyBegun = async (
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
export const untakenOf = ({ attempts, isUnderWay }: RunOfTwo): Attempt[] =>
  attempts.filter((attempt) => {
    const { attached, told, message, isOwn } = attempt
    // Those that wait for their turn in a ward have their job, unless that has a unit of work of its own.
    return attached && told === null && message.redelivered && (isOwn || !isUnderWay(attempt))
  })

/** A worker goes, and what it has in hand goes back: behind a probe that was to come out after it, as may be. */
export const strike = async (run: RunOfTwo, { untaken }: Belt, goes: () => void | Promise<void>): Promise<void> => {
  const before = untakenOf(run)
  const isProbed = run.belt.some((one) => 'probe' in one)
  await goes()
  for (const { attached, message } of before) if (isProbed && !attached) untaken.add(keyOf(message))
}

/** Lets an attempt go on behind its find: nobody who had its job before can write it any more, if it took that over. */
export const goOn = async (run: RunOfTwo, attempt: Attempt): Promise<void> => {
  if (attempt.isOwn) {
    // With the row of its job nobody has to be taken over: whoever has it already is waited for.
    if (run.hasRoom()) await run.goOn(attempt)
    return
  }
  const others = run.attempts.filter((other) => other !== attempt && other.message.jobId === attempt.message.jobId)
  const became = await run.goOn(attempt)
  if (typeof became !== 'string' || !attempt.isTakeover) return
  const jobs = await run.jobs()
  expect(
    others.filter((other) => fits(jobs, other)),
    'attempts at a job that was taken over',
  ).toEqual([])
}

/** Receives a message that was handed out so often before that its job may have killed those who had it. */
export const receiveSuspect = async (run: RunOfTwo, which: number, at: number): Promise<void> => {
  await run.publish()
  const message = oneOf(messagesOn(run), at)
  if (message === undefined) return
  message.redelivered = true
  message.deliveries = Math.max(message.deliveries, 2)
  await goOn(run, await run.find(which, message))
}

/** A ward dies with what is at work in it. */
export const killWard = async (
  run: RunOfTwo,
  { which, pick, company, isAfterOne, isEndedAnew, blow, items, ending }: KillWard,
  belt: Belt,
): Promise<void> => {
  await run.publish()
  // With all messages in somebody's hand there would be no suspects.
  for (const at of [0, 1]) if (messagesOn(run).length < company) await strike(run, belt, () => run.loseBroker(at))
  for (let more = 0; more < company; more += 1) await receiveSuspect(run, which, pick + more)
  const first = oneOf(run.apartAt(which), pick)
  if (isAfterOne && first !== undefined) await run.finishAlone(first, ending)
  const before = await run.jobs()
  const apart = run.apartAt(which)
  // So that there is something to go on behind. Whose job is another's would end of it.
  for (const one of apart) if (gives(one) && !one.continues && fits(before, one)) await run.giveApart(one, items)
  const isAlone = apart.length === 1 && apart.every(run.isAlone)
  const attempt = oneOf(blow.at === 'gave' ? apart.filter(gives) : apart, pick)
  await run.strikeWard(which, blow, async () => {
    if (blow.at === 'now') return
    if (blow.at === 'begun') return receiveSuspect(run, which, pick)
    if (attempt === undefined) return
    if (blow.at !== 'gave') return void (await run.finishAlone(attempt, ending))
    await run.giveApart(attempt, items)
  })
  // It goes on behind what is there of it in another ward.
  if (isEndedAnew && attempt !== undefined && attempt.told !== null) await run.finishAlone(attempt, ending)
  if (blow.at !== 'now' || isEndedAnew) return
  const jobs = await run.jobs()
  for (const died of apart.filter((one) => fits(before, one))) {
    const job = jobs.get(died.message.jobId)
    const isGuilty = run.diedAlone.includes(died) && isProof(died)
    if (isGuilty && isAlone) expect(job).toMatchObject({ status: 'failed', errorCode: 'process_died' })
    if (!isGuilty) expect(job?.status, 'a job that no process died with alone').toBeOneOf(['queued', 'running'])
  }
}

/** What proves that a job ends its process: a signal from outside does when it comes twice. */
export const isProof = ({ deaths }: Attempt): boolean => deaths.own > 0 || deaths.signals > 1

/** Workers die in which a function is at work that ends its process, also where it began when another one died. */
export const endPoisoned = async (run: RunOfTwo, belt: Belt): Promise<void> => {
  const next = (): number | undefined => [0, 1].find(run.isPoisoned)
  for (let which = next(); which !== undefined; which = next()) {
    const dies = which
    await strike(run, belt, () => run.kill(dies))
  }
}

/** Ends the function of an attempt with a unit of work of its own, and says what must come of it. */
export const finishUnit = async (run: RunOfTwo, attempt: Attempt, told: Ending, fitted: boolean): Promise<void> => {
  const [held, alone] = [run.holds(attempt), run.isAlone(attempt)]
  const became = await run.finishAlone(attempt, told)
  const won = { kind: 'written', ending: { kind: 'succeeded' } }
  if (held) expect(fitted, 'the row of a job whose lock is held').toBe(true)
  if (held && told.how === 'done') expect(became).toMatchObject(won)
  if (held && alone) expect(became).toMatchObject({ kind: 'written' })
  if (!held) expect(became, 'an attempt whose session was lost').not.toMatchObject(won)
  if (!held && !fitted) expect(became).toMatchObject({ kind: 'dropped' })
}

/** The function of an attempt gives items: of a job that is its own they are written, and of any other none is. */
export const giveItems = async (
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
