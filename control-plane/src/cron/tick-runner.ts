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
const atOnce = 4
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
}

/** Runs the cron-job program once a tick, a few at a time, and again with the same key where that can help. */
export const startTickRunner = ({ program, graceMs, observe, pauseBefore = pauseMs }: RunnerOptions): TickRunner => {
  const stopping = new AbortController()
  const waiting: Tick[] = []
  const running = new Set<Promise<void>>()
  const children = new Set<ChildProcess>()

  const fireNext = (): void => {
    if (running.size >= atOnce || stopping.signal.aborted) return
    const tick = waiting.shift()
    if (tick === undefined) return
    const carried = carry(tick).finally(() => {
      running.delete(carried)
      fireNext()
    })
    running.add(carried)
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
    for (const tick of waiting.splice(0)) observe({ kind: 'tick.left', stepId: tick.stepId, key: keyOf(tick) })
    const timers = [
      setTimeout(() => signalAll(children, 'SIGTERM'), graceMs),
      setTimeout(() => signalAll(children, 'SIGKILL'), graceMs + killAfterMs),
    ]
    await Promise.all(running)
    for (const timer of timers) clearTimeout(timer)
  }

  return {
    fire: (tick) => {
      waiting.push(tick)
      fireNext()
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
