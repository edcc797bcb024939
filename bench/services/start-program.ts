import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A program of Esteira as it ships, in a process of its own. */
export type RunningProgram = {
  pid: number
  /** Resolves to its exit code. */
  ended: Promise<number | null>
  /** Asks it to end, and waits until it has. */
  stop: () => Promise<void>
}

/**
 * Starts the program of one of the workers, from its sources or as `words` say, and, with `untilReady`, waits until its log
 * says that it is ready.
 */
export const startProgram = async (
  name: string,
  env: Record<string, string>,
  { untilReady, words = [sourceOf(name)] }: { untilReady: boolean; words?: readonly string[] },
): Promise<RunningProgram> => {
  const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  if (child.pid === undefined) throw new Error(`${words.join(' ')} could not be started`)
  const ended = once(child, 'close').then(() => child.exitCode)
  const ready = Promise.withResolvers<void>()
  let said = ''
  child.stdout.on('data', (bytes) => {
    // What it says later is only read, so that it need not wait.
    if (said.length < 100_000) said += String(bytes)
    if (said.includes('"event":"ready"')) ready.resolve()
  })
  void ended.then(() => ready.reject(new Error(`${name} ended before it was ready: ${said}`)))
  ready.promise.catch(() => undefined)
  if (untilReady) await ready.promise
  return {
    pid: child.pid,
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

const sourceOf = (name: string): string => fileURLToPath(new URL(`../../workers/${name}/src/main.ts`, import.meta.url))
