import type { ChildProcess } from 'node:child_process'
import { send } from './end-process.ts'
import { keepUp, type Exit, type Happening, type KeptUp, type Life } from './keep-up.ts'
import { lastLines, openLog } from './log-file.ts'
import type { Recorded, Registry } from './registry.ts'

/** How a process is started, known to be ready, and stopped. `T` is what it says when it is ready. */
export type ProcessPlan<T> = Pick<Recorded, 'name' | 'role' | 'mark' | 'stopSignal' | 'graceMs'> & {
  /** Clears the way for each start. */
  prepare?: () => Promise<void>
  /** Starts it, its output going to the descriptor of its log. It must lead a group of its own (`detached`). */
  spawn: (log: number) => ChildProcess
  logFile: string
  /** Resolves once it answers; tries until the signal is aborted. `from` is where its log begins. */
  answers: (signal: AbortSignal, from: number) => Promise<T>
  readyWithinMs: number
  restart: boolean
  /** An exit after which trying again cannot help. */
  hopeless?: (exit: Exit) => boolean
  registry: Registry
  observe: (happening: Happening | { kind: 'started'; pid: number }) => void
}

/** A process that is kept running. */
export type KeptProcess<T> = KeptUp<T> & {
  /** Undefined while it is down. */
  pid: () => number | undefined
  kill: (signal: NodeJS.Signals) => void
}

/** Keeps a child process up, as `keepUp` does, and on record for a later start while it runs. */
export const keepRunning = <T>(plan: ProcessPlan<T>): KeptProcess<T> => {
  let running: number | undefined

  const start = async (): Promise<Life<T>> => {
    await plan.prepare?.()
    const log = openLog(plan.logFile)
    const child = plan.spawn(log.descriptor)
    const exited = exitOf(child)
    log.close()
    const { pid } = child
    if (pid === undefined)
      throw new Error(`${child.spawnfile} gave no process, but ended as ${JSON.stringify(await exited)}`)
    running = pid
    const { name, role, mark, stopSignal, graceMs } = plan
    plan.registry.add({ name, role, pid, mark, stopSignal, graceMs })
    plan.observe({ kind: 'started', pid })
    const end = async () => {
      const exit = await exited
      running = undefined
      plan.registry.remove(pid)
      return exit
    }
    return {
      answers: (signal) => plan.answers(signal, log.from),
      ended: end(),
      stop: () => send(pid, plan.stopSignal),
      kill: () => send(-pid, 'SIGKILL'),
      lastLines: () => lastLines(plan.logFile, log.from),
    }
  }

  const kept = keepUp({ ...plan, start })
  return Object.assign(kept, {
    pid: () => running,
    kill: (signal: NodeJS.Signals) => {
      if (running !== undefined) send(running, signal)
    },
  })
}

const exitOf = (child: ChildProcess): Promise<Exit> =>
  new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ kind: 'ended', code, signal }))
    // Comes when it could not be started.
    child.once('error', reject)
  })
