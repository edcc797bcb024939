import { reasonOf } from './availability.ts'
import { ConfigError } from './config/load-config.ts'
import type { Log } from './log.ts'
import { startTracing, type TraceSettings, type Tracing } from './trace/start-tracing.ts'

/** How a process ended, for whoever started it. A program may add codes of its own above 10. */
export const exitCodes = { ok: 0, failed: 1, misconfigured: 2 } as const

type Program = {
  log: Log
  /** By what its traces are sent, if they are asked for; a program without it makes none. */
  traces?: TraceSettings
  /** Starts the work. `signal` is aborted by SIGTERM or SIGINT, so that a start that waits can be ended as well. */
  start: (signal: AbortSignal) => Promise<Running>
}

/** What a started program is to its process. */
export type Running = {
  /** Ends the work in order and frees what it held; called once. */
  stop: () => Promise<void>
  /**
   * Resolves to an exit code when the program ends by itself; after a signal too, since only the program knows whether
   * its work was done by then. Long-lived programs leave it out.
   */
  ended?: Promise<number>
}

/**
 * Runs a program until it ends by itself or a SIGTERM or SIGINT comes, and resolves to the code to exit with. A second
 * signal changes nothing. Faults of the environment are one line each, without a stack.
 */
export const runMain = async (program: (signal: AbortSignal) => Program): Promise<number> => {
  const stopping = new AbortController()
  const asked = new Promise<void>((resolve) => {
    const stop = () => {
      stopping.abort(new Error('the process was asked to stop'))
      resolve()
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
  let log: Log | undefined
  let tracing: Tracing | null = null
  try {
    const main = program(stopping.signal)
    log = main.log
    if (main.traces !== undefined) tracing = await startTracing(main.traces, log)
    const running = await main.start(stopping.signal)
    const code = await (running.ended ?? asked.then(() => exitCodes.ok))
    await running.stop()
    return code
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) return exitCodes.ok
    if (error instanceof ConfigError) {
      for (const problem of error.problems) process.stderr.write(`${problem}\n`)
      return exitCodes.misconfigured
    }
    if (log === undefined) process.stderr.write(`${reasonOf(error)}\n`)
    else log.error({ event: 'failed', reason: reasonOf(error), err: error })
    return exitCodes.failed
  } finally {
    // After the work has ended, in whichever way: its last spans tell of that.
    await tracing?.stop()
  }
}
