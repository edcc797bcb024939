import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { payloadBytes } from '../services/fill-lane.ts'
import type { Place } from '../services/open-place.ts'
import { type Message, messageSchema, type Task } from './messages.ts'

export type Program = 'relay' | 'raw' | 'bare'

type Done = Extract<Message, { kind: 'done' }>
type Progress = Extract<Message, { kind: 'progress' }>

/** A measured process. */
export type Child = {
  /** Resolves with its figures when all rows are done, rejects if it ends before. */
  done: Promise<Done>
  /** What it told on its way. */
  progress: Progress[]
  /** Ends it by SIGTERM, and waits until it has ended. */
  stop: () => Promise<void>
}

/** `rows` null: until it is stopped. With a file to profile to, the relay writes there where its time went. */
export type Work = { rows: number | null; window: number; profileTo?: string | null }

/** Runs one of the programs beside this file on a place. */
export const startChild = (
  program: Program,
  { databaseUrl, rabbitmqUrl, lane, queue }: Place,
  { rows, window, profileTo = null }: Work,
): Child => {
  const task: Task = { databaseUrl, rabbitmqUrl, lane, queue, rows, window, payloadBytes, profileTo }
  const path = fileURLToPath(new URL(`${program}/main.ts`, import.meta.url))
  const child = spawn(process.execPath, [path, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const done = Promise.withResolvers<Done>()
  const progress: Progress[] = []
  createInterface(child.stdout).on('line', (line) => {
    const message = messageSchema.parse(JSON.parse(line))
    if (message.kind === 'done') done.resolve(message)
    else progress.push(message)
  })
  const ended = once(child, 'close')
  void ended.then(() => done.reject(new Error(`the process "${program}" ended before its work was done`)))
  // Whoever only stops it does not ask for its figures.
  done.promise.catch(() => undefined)
  return {
    done: done.promise,
    progress,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Lets one of the programs do its rows and gives its figures. */
export const runChild = async (...start: Parameters<typeof startChild>): Promise<Done & { progress: Progress[] }> => {
  const child = startChild(...start)
  const figures = await child.done
  await child.stop()
  return { ...figures, progress: child.progress }
}
