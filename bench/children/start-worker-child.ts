import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { FanOutTask } from './fan-out/task.ts'
import type { WorkerTask } from './no-op/task.ts'

type Tasks = { 'no-op': WorkerTask; 'fan-out': FanOutTask }

/**
 * Options of Node. A heap that is free to grow is collected late; with this one a worker whose memory is to be seen ends if
 * it keeps too much.
 */
const options = { 'no-op': [], 'fan-out': ['--max-semi-space-size=8', '--max-old-space-size=128'] }

export type WorkerChild = { pid: number; stop: () => Promise<void> }

/** Starts a worker of one of the folders beside this file in a process of its own, and waits until it consumes. */
export const startWorkerChild = async <Program extends keyof Tasks>(
  program: Program,
  task: Tasks[Program],
): Promise<WorkerChild> => {
  const path = fileURLToPath(new URL(`${program}/main.ts`, import.meta.url))
  const child = spawn(process.execPath, [...options[program], path, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.pid === undefined) throw new Error(`${path} could not be started`)
  const ended = once(child, 'close')
  const ready = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
  if (!ready) throw new Error(`the worker "${program}" ended before it was ready`)
  return {
    pid: child.pid,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
