import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'

/** How a life ended, or why it never began; `mute` when it was ended since it did not get ready. */
export type Exit =
  | { kind: 'ended'; code: number | null; signal: NodeJS.Signals | null }
  | { kind: 'mute'; reason: string }
  | { kind: 'not started'; reason: string }

/** What happens to something that is kept up. */
export type Happening =
  | { kind: 'ready'; ms: number }
  /** `lastLines` are the end of its log; it is started again after `restartInMs`, or not when that is null. */
  | { kind: 'exited'; exit: Exit; lastLines: string[]; restartInMs: number | null }
  | { kind: 'stopped' }

/** One life of a process or a container, from its start to its end. */
export type Life<T> = {
  /** Resolves, to what it says of itself, once it answers; tries until the signal is aborted. */
  answers: (signal: AbortSignal) => Promise<T>
  ended: Promise<Exit>
  /** Asks it to end. */
  stop: () => void | Promise<void>
  /** Ends it at once. */
  kill: () => void | Promise<void>
  lastLines: () => string[] | Promise<string[]>
}

/** What is kept up, and how long its steps may take. */
export type Upkeep<T> = {
  name: string
  start: () => Promise<Life<T>>
  readyWithinMs: number
  /** From being asked to end to being ended. */
  graceMs: number
  restart: boolean
  /** An exit after which trying again cannot help. */
  hopeless?: (exit: Exit) => boolean
  observe: (happening: Happening) => void
}

/** Something that is kept up, for whoever keeps it. */
export type KeptUp<T> = {
  /** Resolves when it is ready for the first time; rejects when it ends for good before. */
  readonly ready: Promise<T>
  /** Resolves with the last exit when it will not be started again. */
  readonly exited: Promise<Exit>
  /** Ends it, by force after its grace. May be called more than once. */
  stop: () => Promise<void>
}

/** With pauses of 0.1, 0.2, 0.4 ... s this is some 6 s: longer than killed Postgres backends hold on to their memory. */
const triesUntilReady = 7
const longestPauseMs = 5_000
const settledMs = 10_000

/**
 * Starts something and, when `restart` is set, starts it again whenever it ends without being asked to. The pause grows
 * from 100 ms to 5 s and begins anew once it has been ready for a while. Until it was ready once it is given up after
 * some tries: what never came up is broken, not hit.
 */
export const keepUp = <T>(upkeep: Upkeep<T>): KeptUp<T> => {
  const stopping = new AbortController()
  const first = Promise.withResolvers<{ ok: true; value: T } | { ok: false; error: Error }>()
  let current: Life<T> | undefined

  const liveOnce = async () => {
    const startedAt = performance.now()
    const life = await upkeep.start()
    current = life
    // Asked to stop while it was being started.
    if (stopping.signal.aborted) await life.stop()
    const over = new AbortController()
    let readyAt: number | undefined
    let mute: string | undefined
    const becomeReady = async () => {
      try {
        const value = await life.answers(AbortSignal.any([over.signal, AbortSignal.timeout(upkeep.readyWithinMs)]))
        readyAt = performance.now()
        upkeep.observe({ kind: 'ready', ms: Math.round(readyAt - startedAt) })
        first.resolve({ ok: true, value })
      } catch (error) {
        if (over.signal.aborted) return
        // Up, but it does not answer: it is started anew like one that fell.
        mute = reasonOf(error)
        await life.kill()
      }
    }
    const becoming = becomeReady()
    const exit = await life.ended
    over.abort()
    current = undefined
    await becoming
    return {
      exit: mute === undefined ? exit : ({ kind: 'mute', reason: mute } as const),
      readyForMs: readyAt === undefined ? undefined : performance.now() - readyAt,
      lastLines: await life.lastLines(),
    }
  }

  const live = async (): Promise<Exit> => {
    let failures = 0
    let wasReady = false
    for (;;) {
      const { exit, readyForMs, lastLines } = await liveOnce().catch(notStarted)
      if (readyForMs !== undefined) wasReady = true
      if (readyForMs !== undefined && readyForMs > settledMs) failures = 0
      if (!stopping.signal.aborted) {
        const givenUp = !wasReady && failures + 1 >= triesUntilReady
        const again = upkeep.restart && !givenUp && upkeep.hopeless?.(exit) !== true
        const restartInMs = again ? Math.min(longestPauseMs, 100 * 2 ** failures) : null
        failures += 1
        upkeep.observe({ kind: 'exited', exit, lastLines, restartInMs })
        if (restartInMs === null) {
          const message = [`${upkeep.name} ${describeExit(exit)}`, ...lastLines].join('\n  ')
          first.resolve({ ok: false, error: new Error(message) })
          return exit
        }
        await pause(restartInMs, stopping.signal)
      }
      if (stopping.signal.aborted) {
        first.resolve({ ok: false, error: new Error(`${upkeep.name} was stopped before it was ready`) })
        upkeep.observe({ kind: 'stopped' })
        return exit
      }
    }
  }

  const exited = live()
  const end = async () => {
    stopping.abort()
    await current?.stop()
    const over = new AbortController()
    await Promise.race([exited, pause(upkeep.graceMs, over.signal)])
    over.abort()
    await current?.kill()
    await exited
  }
  let ending: Promise<void> | undefined
  return {
    // A promise made anew for each reader: one that rejects with nobody listening would end this process.
    get ready() {
      return first.promise.then((outcome) => {
        if (outcome.ok) return outcome.value
        throw outcome.error
      })
    },
    exited,
    stop: () => (ending ??= end()),
  }
}

const notStarted = (error: unknown) => ({
  exit: { kind: 'not started', reason: reasonOf(error) } as const,
  readyForMs: undefined,
  lastLines: [],
})

/** In words: `ended with code 1`, `was ended by SIGKILL`, `did not get ready: ...`, `could not be started: ...`. */
export const describeExit = (exit: Exit): string => {
  switch (exit.kind) {
    case 'ended':
      return exit.signal === null ? `ended with code ${exit.code}` : `was ended by ${exit.signal}`
    case 'mute':
      return `did not get ready: ${exit.reason}`
    case 'not started':
      return `could not be started: ${exit.reason}`
  }
}

const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
