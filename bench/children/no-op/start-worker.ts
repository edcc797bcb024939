import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { WorkerTask } from './task.ts'

const program = fileURLToPath(new URL('main.ts', import.meta.url))

/** Starts the worker in a process of its own, and waits until it consumes. */
export const startNoOpWorker = async (task: WorkerTask): Promise<{ stop: () => Promise<void> }> => {
  const child = spawn(process.execPath, [program, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const ready = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
  if (!ready) throw new Error('the worker ended before it was ready')
  return {
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
