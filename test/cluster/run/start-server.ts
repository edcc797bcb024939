import { spawn } from 'node:child_process'
import { describeExit, keepRunning } from '@esteira/dev/processes'
import { askUntil } from '@esteira/dev/stack'
import type { RunFolder } from './run-folder.ts'

/** A server of a run: a program of this machine that answers once it is up. */
export type ServerPlan = {
  run: RunFolder
  name: string
  program: string
  words: readonly string[]
  env?: Record<string, string>
  /** Programs are ended before the services that they use. */
  role: 'program' | 'service'
  /** Throws as long as it is not up. */
  ask: () => Promise<void>
  readyWithinMs?: number
  /** Whether it is started again when it falls. */
  restart?: boolean
  /** How it is stopped: at once, where nothing that it would still do is of use to anybody. */
  stopSignal?: 'SIGTERM' | 'SIGKILL'
}

/** A server of a run that is up. */
export type RunServer = {
  pid: () => number | undefined
  stop: () => Promise<void>
  /** Ends it by SIGKILL. */
  kill: () => Promise<void>
}

/** Starts a server of a run and waits until it is up. @throws when it is not in time, with the end of its log. */
export const startServer = async (plan: ServerPlan): Promise<RunServer> => {
  let isKilled = false
  const {
    run,
    name,
    program,
    words,
    env = {},
    role,
    ask,
    readyWithinMs = 60_000,
    restart = false,
    stopSignal = 'SIGTERM',
  } = plan
  const server = keepRunning<void>({
    name,
    role,
    // Every word list names something in the folder.
    mark: run.path,
    stopSignal,
    graceMs: 10_000,
    logFile: run.logFile(name),
    spawn: (log) =>
      spawn(program, words, {
        cwd: run.path,
        // All of them are Go's: they collect at four times of what they need, which takes memory and spares CPU.
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', GOGC: '400', ...env },
        detached: true,
        stdio: ['ignore', log, log],
      }),
    answers: (signal) => askUntil(ask, 50, signal),
    readyWithinMs,
    restart,
    registry: run.registry,
    observe: (happening) => {
      if (happening.kind !== 'exited' || isKilled) return
      // One that is started again was most likely killed by a test.
      const said = happening.restartInMs === null ? happening.lastLines : []
      process.stderr.write([`${name} ${describeExit(happening.exit)}`, ...said, ''].join('\n'))
    },
  })
  await server.ready
  return {
    pid: server.pid,
    stop: server.stop,
    kill: async () => {
      isKilled = true
      server.kill('SIGKILL')
      await server.exited
    },
  }
}
