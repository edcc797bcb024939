import { jobError } from '../../job/job-error.ts'
import { allGiven } from '../stream/pages.ts'
import {
  begin,
  beginTime,
  type Case,
  ended,
  openCase,
  type Outcome,
  type PagesOfSuspect,
  settleLost,
  takePage,
} from './case.ts'
import type { Death } from './describe-death.ts'
import { companies, judge, lastStage, type Stage } from './judge.ts'
import type { Answer, Suspect } from './messages.ts'
import type { Ward, WardHooks } from './ward.ts'

/** A ward died with so many jobs at work in it: one of them may be to blame, or none. */
export type SuspectEvent = { kind: 'ward.died'; jobs: number; reason: string }

export type Suspects = {
  /**
   * Attempts a job in a process apart, and says what came of it. One that ends a process that it has to itself ends
   * `failed`, saying how that died. `lost` gives the attempt up. What it gives page by page goes into `pages`, and an
   * attempt in another process goes on behind it. `receivedMs` is when its delivery came, by `performance.now()`.
   *
   * @throws what kept the job from being attempted or its end from being known: its message must come again.
   */
  attempt: (suspect: Suspect, lost: AbortSignal, pages: PagesOfSuspect | null, receivedMs: number) => Promise<Outcome>
  /** Has nothing wait for the row of its job any more: the worker is asked to stop. */
  stopWaiting: () => void
  /** Kills what still runs. */
  stop: () => void
}

type SuspectOptions = {
  open: (hooks: WardHooks) => Ward
  observe: (event: SuspectEvent) => void
  /** How long a job may wait for its turn before its message goes back: the broker takes it back after half an hour. */
  mostWaitMs?: number
  /** How long a ward without work stays. */
  idleMs?: number
  overtimeMs?: number
  /** How long those that wait for their pages, when their ward has died, may keep others from having the next. */
  judgeMs?: number
  /** How long those whose pages wait for locks may keep a ward from others. */
  heldMs?: number
}

const defaultMostWaitMs = 4 * 60_000

/**
 * By then the attempt of a delivery is to be over, with all that it waited for before, as for room for its payload or for
 * locks: half a minute below the half hour after which RabbitMQ takes the delivery back. So with the longest timeout it waits
 * for its turn for less.
 */
const mostDeliveryMs = 29.5 * 60_000

const defaultIdleMs = 10_000

/** How far a job's time may be passed before its ward is killed, milliseconds: the attempt in it ends by itself before. */
const defaultOvertimeMs = 10_000

/** Far above what a page takes, and a wait for a lock that is short; milliseconds. */
const defaultHeldMs = 5_000

/** Jobs whose stage is remembered while their messages are away. */
const mostKnown = 10_000

/**
 * A ward, how many jobs it was given, and those at work in it. One that is spent takes no more; one that is leaving has
 * been told to end.
 */
type Open = {
  ward: Ward
  stage: Stage
  given: number
  isReady: boolean
  isSpent: boolean
  isLeaving: boolean
  atWork: Map<number, Case>
}

/**
 * Looks for the job that killed a worker among those that the worker had, without harm to the others: suspects run in a
 * process apart (a ward), many together. When it dies, those that were at work in it run in smaller company, and in the
 * end one by one. Only a job that a process dies with that has had no other is to blame. There is one ward at a time, so a
 * worker needs at most as much memory again as a ward may have.
 *
 * What waits for somebody's lock keeps no others from their turn: not behind the death of its ward, where it waits until its
 * last page is written, nor in a ward in which all are at that and which others may not join. It goes on behind that page
 * in another, as if its ward had died; nothing is proven by that. An end that its ward writes itself, in the unit of work
 * of its function, is waited for.
 */
export const createSuspects = ({
  open,
  observe,
  mostWaitMs = defaultMostWaitMs,
  idleMs = defaultIdleMs,
  overtimeMs = defaultOvertimeMs,
  judgeMs = defaultHeldMs,
  heldMs = defaultHeldMs,
}: SuspectOptions): Suspects => {
  const waiting = new Set<Case>()
  /** The stages of jobs whose messages went back before their turn. */
  const known = new Map<string, Stage>()
  let current: Open | null = null
  let idle: NodeJS.Timeout | undefined
  let lastId = 0
  /** A ward has just died, and of those that were in it not all are waiting again: the next one is for the guilty. */
  let isJudging = false
  let isLeaving = false
  let isStopped = false

  /** The first of those of the latest stage: the guilty are among them. */
  const nextCase = (): Case | undefined => {
    let next: Case | undefined
    for (const one of waiting) {
      if (next === undefined || one.suspicion.stage > next.suspicion.stage) next = one
    }
    return next
  }

  const look = (): void => {
    clearTimeout(idle)
    if (isStopped || isJudging) return
    if (current === null) {
      const next = nextCase()
      if (next !== undefined) current = openFor(next.suspicion.stage)
      return
    }
    if (!current.isReady || current.isLeaving) return
    feed(current)
    if (waiting.size > 0 && [...current.atWork.values()].every(({ isHeldUp }) => isHeldUp)) sendOn(current)
    if (current.atWork.size > 0) return
    if (waiting.size > 0 || current.isSpent) leave(current)
    else idle = setTimeout(leave, idleMs, current).unref()
  }

  const leave = (opened: Open): void => {
    if (opened.isLeaving || opened.atWork.size > 0) return
    opened.isLeaving = true
    opened.ward.leave()
  }

  /** Has all that are at work in a ward wait for another. */
  const sendOn = (opened: Open): void => {
    const cases = [...opened.atWork.values()]
    opened.atWork.clear()
    for (const one of cases) {
      one.time?.close()
      void goOn(one)
    }
  }

  const feed = (into: Open): void => {
    for (;;) {
      const next = nextCase()
      if (next?.suspicion.stage !== into.stage || into.isSpent || into.atWork.size >= companies[into.stage]) return
      waiting.delete(next)
      into.atWork.set(next.id, next)
      into.given += 1
      into.isSpent = into.stage === lastStage
      next.hasBegun = false
      into.ward.attempt(next.id, next.suspect)
    }
  }

  const openFor = (stage: Stage): Open => {
    const ward = open({
      ready: () => {
        opened.isReady = true
        if (isLeaving) ward.stopWaiting()
        look()
      },
      begun: (id) => {
        const one = opened.atWork.get(id)
        if (one !== undefined) begin(one)
      },
      filled: (id) => {
        const one = opened.atWork.get(id)
        if (one !== undefined) beginTime(one, ward, overtimeMs)
      },
      called: (id) => opened.atWork.get(id)?.time?.close(),
      gave: (id, given) => {
        const one = opened.atWork.get(id)
        if (one !== undefined) void takePage(one, given, ward, { heldMs, heldUp: look })
      },
      answered: (id, answer, runsOn) => {
        const one = opened.atWork.get(id)
        opened.atWork.delete(id)
        // What runs on here ends with the process.
        if (runsOn) opened.isSpent = true
        if (one !== undefined) settle(one, answer)
        look()
      },
      died: (death) => {
        current = null
        const atWork = [...opened.atWork.values()]
        for (const { time } of atWork) time?.close()
        if (!opened.isReady) {
          const reason = `the process for suspects could not be started: ${death.how}`
          for (const one of [...waiting, ...atWork]) giveUp(one, new Error(reason))
        } else if (atWork.length > 0) {
          observe({ kind: 'ward.died', jobs: atWork.length, reason: death.how })
          return void judgeAll(atWork, opened, death)
        }
        look()
      },
    })
    const opened: Open = { ward, stage, given: 0, isReady: false, isSpent: false, isLeaving: false, atWork: new Map() }
    return opened
  }

  const settle = (one: Case, answer: Answer): void => {
    one.time?.close()
    // One whose row is held comes again as it was: it was not attempted.
    if (answer.kind !== 'held') known.delete(one.suspect.job.id)
    if (answer.kind === 'broken') one.settled.reject(new Error(answer.reason))
    else one.settled.resolve(answer)
  }

  const giveUp = (one: Case, error: unknown): void => {
    waiting.delete(one)
    one.settled.reject(error)
  }

  const judgeAll = async (cases: readonly Case[], opened: Open, death: Death): Promise<void> => {
    isJudging = true
    const patience = Promise.withResolvers<void>()
    const late = setTimeout(patience.resolve, judgeMs)
    await Promise.race([Promise.all(cases.map((one) => carryOut(one, opened, death))), patience.promise])
    clearTimeout(late)
    isJudging = false
    look()
  }

  const carryOut = async (one: Case, { given, atWork }: Open, death: Death): Promise<void> => {
    if (one.lost.aborted) return settleLost(one)
    if (isStopped) return giveUp(one, stoppedError())
    const verdict = judge(one.suspicion, one.hasBegun, { atWork: atWork.size, given }, death)
    switch (verdict.kind) {
      case 'guilty': {
        const message = `the process in which it ran alone died: ${death.how}`
        return settle(one, ended({ kind: 'failed', error: jobError('process_died', message) }, one))
      }
      case 'unknown':
        return giveUp(one, new Error(`its process died before it began: ${death.how}`))
      case 'again':
        one.suspicion = verdict.suspicion
        remember(one)
        return goOn(one)
    }
  }

  const remember = ({ suspect, suspicion }: Case): void => {
    known.set(suspect.job.id, suspicion.stage)
    const [oldest] = known.keys()
    if (known.size > mostKnown && oldest !== undefined) known.delete(oldest)
  }

  /** Lets one wait for another process, behind what it has given in the one before. */
  const goOn = async (one: Case): Promise<void> => {
    try {
      const begunMs = performance.now()
      const job = one.pages === null ? one.suspect.job : await one.pages.again()
      // Until it is its turn, and not until its locks are free, it may wait for so long.
      one.cameMs += performance.now() - begunMs
      if (one.lost.aborted) settleLost(one)
      else if (isStopped) giveUp(one, stoppedError())
      else if (job === null && one.pages !== null) settle(one, ended(allGiven(one.pages.next), one))
      else if (job !== null) {
        one.suspect = { ...one.suspect, job }
        wait(one)
        look()
      }
    } catch (error) {
      if (one.lost.aborted) settleLost(one)
      else giveUp(one, error)
    }
  }

  const wait = (one: Case): void => {
    const latestMs = one.receivedMs + mostDeliveryMs - one.suspect.timeoutMs - overtimeMs
    const leftMs = Math.min(one.cameMs + mostWaitMs, latestMs) - performance.now()
    if (leftMs < 0) return giveUp(one, tooLate())
    waiting.add(one)
    clearTimeout(one.patience)
    one.patience = setTimeout(() => waiting.has(one) && giveUp(one, tooLate()), leftMs)
    one.patience.unref()
  }

  return {
    attempt: async (suspect, lost, pages, receivedMs) => {
      lost.throwIfAborted()
      if (isStopped) throw stoppedError()
      lastId += 1
      const one = openCase(lastId, suspect, lost, pages, receivedMs, {
        stage: known.get(suspect.job.id) ?? 0,
        falseStarts: 0,
        killed: 0,
      })
      const onLost = () => {
        if (waiting.delete(one)) settleLost(one)
        else current?.ward.abort(one.id, lost.reason)
      }
      lost.addEventListener('abort', onLost)
      wait(one)
      look()
      try {
        return await one.settled.promise
      } finally {
        clearTimeout(one.patience)
        lost.removeEventListener('abort', onLost)
      }
    },
    stopWaiting: () => {
      isLeaving = true
      current?.ward.stopWaiting()
    },
    stop: () => {
      isStopped = true
      clearTimeout(idle)
      for (const one of waiting) giveUp(one, stoppedError())
      current?.ward.kill('the worker has stopped')
    },
  }
}

const tooLate = () => new Error('it waited too long for its turn in a process apart, and goes back')

const stoppedError = () => new Error('the worker has stopped')
