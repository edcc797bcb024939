import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Place } from '../services/open-place.ts'
import { type JobMessage, jobMessageSchema, type JobTask } from './job-messages.ts'

export type JobProgram = 'worker' | 'graphile-worker' | 'pg-boss'

type Done = Extract<JobMessage, { kind: 'done' }>

/** A process that runs jobs and is measured. */
export type JobChild = {
  /** Resolves when it has what it needs. */
  ready: Promise<void>
  /** Tells it to begin. */
  go: () => void
  /** Resolves with its figures when all jobs are done. */
  done: Promise<Done>
  /** Calls back with the shared clock's time whenever a function starts. */
  onStart: (callBack: (atMs: number) => void) => void
  /** Waits until it has ended, as it does when its jobs are done; without a number of jobs it is told to. */
  stop: () => Promise<void>
}

/** Starts one of the programs beside this file that run jobs. */
export const startJobChild = (
  program: JobProgram,
  { databaseUrl, rabbitmqUrl, lane }: Place,
  work: Pick<JobTask, 'jobs' | 'inHand'> & { profileTo?: string | null },
): JobChild => {
  const task: JobTask = { databaseUrl, rabbitmqUrl, lane: lane.name, profileTo: null, ...work }
  return startJobProcess(program, task, { runsUntilStopped: work.jobs === null })
}

/** Starts one of the programs beside this file that speak as those do, each with its own task. */
export const startJobProcess = (
  program: string,
  task: object,
  { runsUntilStopped }: { runsUntilStopped: boolean },
): JobChild => {
  const path = fileURLToPath(new URL(`${program}/main.ts`, import.meta.url))
  const child = spawn(process.execPath, [path, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ready = Promise.withResolvers<void>()
  const done = Promise.withResolvers<Done>()
  const starts = new Set<(atMs: number) => void>()
  createInterface(child.stdout).on('line', (line) => {
    const message = jobMessageSchema.parse(JSON.parse(line))
    switch (message.kind) {
      case 'ready':
        return ready.resolve()
      case 'started':
        for (const callBack of starts) callBack(message.atMs)
        return
      case 'done':
        return done.resolve(message)
    }
  })
  const ended = once(child, 'close')
  child.once('close', () => {
    const tooSoon = new Error(`the process "${program}" ended before its work was done`)
    ready.reject(tooSoon)
    done.reject(tooSoon)
  })
  // Whoever only stops it does not ask for its figures.
  done.promise.catch(() => undefined)
  return {
    ready: ready.promise,
    go: () => child.stdin.write('go\n'),
    done: done.promise,
    onStart: (callBack) => void starts.add(callBack),
    stop: async () => {
      // Killed after its work was done, it would leave messages behind that are not acked.
      if (runsUntilStopped) child.kill('SIGTERM')
      await ended
    },
  }
}
