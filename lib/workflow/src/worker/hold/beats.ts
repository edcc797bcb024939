import { reasonOf } from '@esteira/service'
import type { Beat, BeatAnswer } from '../../job/beat-jobs.ts'

export type BeatEvent = { kind: 'beat.failed'; jobs: number; reason: string }

/** A job at work: what its beat says, and what hears the answer. */
export type Beating = {
  beat: () => Beat
  answered: (answer: BeatAnswer) => void
  /** Nothing is known of a beat that failed: it may have been written. */
  unanswered: () => void
}

export type Beats = {
  /**
   * Beats for a job from when it is long. What is returned ends that, and resolves when no beat for it is under way any
   * more.
   */
  add: (beating: Beating) => () => Promise<void>
}

type BeatOptions = {
  /** Sends the beats of all long jobs; the answers come in their order. */
  send: (beats: Beat[]) => Promise<BeatAnswer[]>
  observe: (event: BeatEvent) => void
  /** Aborted when the worker has stopped: its sessions are closed then. */
  stopped: AbortSignal
}

/** A job that is at work for so long, in milliseconds, is marked `running`, and people see it. A short one costs nothing. */
const longJobMs = 1_000

/**
 * Between two turns, milliseconds. A cancel must reach a function within 2 s, also one that comes just as its job begins:
 * that takes until the job is long, and one turn.
 */
const turnMs = 750

/** Beats for the jobs of a worker together, a turn at a time. A turn that fails is told; the next one tries again. */
export const createBeats = ({ send, observe, stopped }: BeatOptions): Beats => {
  /** The jobs at work, and since when. */
  const atWork = new Map<Beating, number>()
  let inTurn: ReadonlySet<Beating> = new Set()
  let turning: Promise<void> = Promise.resolve()
  let isWaiting = false

  const wait = (): void => {
    if (isWaiting || atWork.size === 0 || stopped.aborted) return
    isWaiting = true
    setTimeout(() => {
      turning = turn().finally(() => {
        isWaiting = false
        wait()
      })
    }, turnMs).unref()
  }

  const turn = async (): Promise<void> => {
    const begunBefore = performance.now() - longJobMs
    const long = [...atWork].flatMap(([beating, begun]) => (begun <= begunBefore ? [beating] : []))
    if (long.length === 0 || stopped.aborted) return
    inTurn = new Set(long)
    try {
      const answers = await send(long.map(({ beat }) => beat()))
      for (const [index, answer] of answers.entries()) long[index]?.answered(answer)
    } catch (error) {
      for (const { unanswered } of long) unanswered()
      observe({ kind: 'beat.failed', jobs: long.length, reason: reasonOf(error) })
    } finally {
      inTurn = new Set()
    }
  }

  return {
    add: (beating) => {
      atWork.set(beating, performance.now())
      wait()
      return async () => {
        atWork.delete(beating)
        if (inTurn.has(beating)) await turning
      }
    },
  }
}
