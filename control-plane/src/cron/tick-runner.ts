import { type ChildProcess, spawn } from 'node:child_process'
import { type Tick, keyOf } from './due-ticks.ts'
import { finalExits } from './exit-codes.ts'

/** The cron-job program and what it needs of the environment. */
export type TickProgram = { path: string; env: Record<string, string> }

/** How a tick went. `code` is null when a signal ended the program, `reason` when nothing more is known. */
export type TickEvent =
  | { kind: 'tick.fired'; stepId: string; key: string; tries: number; ms: number }
  | ({ kind: 'tick.retried'; stepId: string; key: string; tries: number; pauseMs: number } & Exit)
  | ({ kind: 'tick.given-up'; stepId: string; key: string; tries: number } & Exit)
  | { kind: 'tick.left'; stepId: string; key: string }

type Exit = { code: number | null; signal: string | null; reason: string | null }

export type TickRunner = {
  /** Starts the program for a tick as soon as there is room. */
  fire: (tick: Tick) => void
  /** Waits for the programs that run. What has not begun is left to the next start. */
  stop: () => Promise<void>
}

/** A program takes half a second of a core to load; more at once would only make each of them slower. */
const mostLoading = 4
/** By then it is loaded, and waits: for a database that is away, or for whoever holds its workflow locked. */
const defaultLoadedMs = 10_000
/** Of all that run, one a step. */
const mostRunning = 16
const maxRetries = 6
const firstPauseMs = 1_000
const longestPauseMs = 30_000
/** The program waits for a database that is away; one that still runs after this is stuck. */
const longestRunMs = 300_000
const killAfterMs = 2_000

/** Whether trying again cannot help. The program's own codes begin at 11, and all of them are of that kind. */
const isFinal = ({ code }: Exit): boolean => code !== null && (code === 2 || code >= 11)

type RunnerOptions = {
  program: TickProgram
  graceMs: number
  observe: (event: TickEvent) => void
  /** Tests do not wait a minute for six tries. */
  pauseBefore?: (retry: number) => number
  loadedMs?: number
}

/**
 * Runs the cron-job program once a tick, and again with the same key where that can help. A few load at a time. Ticks of one
 * step go one after the other, so those of a workflow that somebody holds locked keep no other from its turn.
 */
export const startTickRunner = ({
  program,
  graceMs,
  observe,
  pauseBefore = pauseMs,
  loadedMs = defaultLoadedMs,
}: RunnerOptions): TickRunner => {
  const stopping = new AbortController()
  const waiting = new Set<Tick>()
  const loading = new Set<Tick>()
  /** By their steps. */
  const running = new Map<string, Promise<void>>()
  const children = new Set<ChildProcess>()

  const fireWaiting = (): void => {
    if (stopping.signal.aborted) return
    for (const tick of waiting) {
      if (loading.size >= mostLoading || running.size >= mostRunning) return
      if (running.has(tick.stepId)) continue
      waiting.delete(tick)
      fireNow(tick)
    }
  }

  const fireNow = (tick: Tick): void => {
    loading.add(tick)
    const leavePlace = (): void => {
      loading.delete(tick)
      fireWaiting()
    }
    const loaded = setTimeout(leavePlace, loadedMs)
    const end = (): void => {
      clearTimeout(loaded)
      running.delete(tick.stepId)
      leavePlace()
    }
    running.set(tick.stepId, carry(tick).finally(end))
  }

  const carry = async (tick: Tick): Promise<void> => {
    const of = { stepId: tick.stepId, key: keyOf(tick) }
    const begun = performance.now()
    for (let tries = 1; ; tries += 1) {
      const exit = await runProgram(program, tick, children)
      if (exit.code === 0) {
        return observe({ kind: 'tick.fired', ...of, tries, ms: Math.round(performance.now() - begun) })
      }
      if (stopping.signal.aborted) return observe({ kind: 'tick.left', ...of })
      if (isFinal(exit) || tries > maxRetries) return observe({ kind: 'tick.given-up', ...of, tries, ...exit })
      const pause = pauseBefore(tries)
      observe({ kind: 'tick.retried', ...of, tries, pauseMs: pause, ...exit })
      await pauseOr(stopping.signal, pause)
      if (stopping.signal.aborted) return observe({ kind: 'tick.left', ...of })
    }
  }

  const stop = async (): Promise<void> => {
    stopping.abort()
    for (const tick of waiting) observe({ kind: 'tick.left', stepId: tick.stepId, key: keyOf(tick) })
    waiting.clear()
    const timers = [
      setTimeout(() => signalAll(children, 'SIGTERM'), graceMs),
      setTimeout(() => signalAll(children, 'SIGKILL'), graceMs + killAfterMs),
    ]
    await Promise.all(running.values())
    for (const timer of timers) clearTimeout(timer)
  }

  return {
    fire: (tick) => {
      waiting.add(tick)
      fireWaiting()
    },
    stop,
  }
}

const runProgram = (program: TickProgram, tick: Tick, children: Set<ChildProcess>): Promise<Exit> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [program.path], {
      env: { ...program.env, ESTEIRA_STEP_ID: tick.stepId, ESTEIRA_TICK_KEY: keyOf(tick) },
      stdio: ['ignore', 'inherit', 'inherit'],
      // A group of its own: Ctrl-C in a terminal ends the scheduler, which then waits for its ticks.
      detached: true,
      timeout: longestRunMs,
      killSignal: 'SIGKILL',
    })
    children.add(child)
    const end = (exit: Exit): void => {
      children.delete(child)
      resolve(exit)
    }
    child.once('error', (error) => end({ code: null, signal: null, reason: error.message }))
    child.once('exit', (code, signal) => {
      // Asked to stop, the program may end with 0 before it has done anything.
      if (child.killed) end({ code: null, signal: signal ?? 'SIGTERM', reason: 'it was stopped' })
      else end({ code, signal, reason: code === null ? null : (finalExits[code] ?? null) })
    })
  })

const signalAll = (children: ReadonlySet<ChildProcess>, signal: NodeJS.Signals): void => {
  for (const child of children) child.kill(signal)
}

const pauseMs = (retry: number): number =>
  Math.min(firstPauseMs * 2 ** (retry - 1), longestPauseMs) * (0.75 + Math.random() / 2)

const pauseOr = (signal: AbortSignal, ms: number): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
