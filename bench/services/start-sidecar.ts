import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Place } from './open-place.ts'

/** The relay's process as it ships: bundled, where it was bundled. */
const program = ['../../sidecar/dist/main.js', '../../sidecar/src/main.ts']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))

const lineSchema = z.looseObject({ event: z.string(), confirmed: z.int().optional() })

/** A line of the log, and when it came, by this process's monotonic clock. */
export type Line = z.infer<typeof lineSchema> & { atMs: number }

export type Sidecar = {
  pid: number
  /** Its file, from the repository on. */
  program: string
  /** When it was told to start, by this process's monotonic clock. */
  startedMs: number
  lines: Line[]
  /** Waits for the first line that is meant, from those that came already on; throws if the process ends before. */
  saw: (isMeant: (line: Line) => boolean) => Promise<Line>
  end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
}

/** Starts a relay of the place's lane in a process of its own, with what it does while it works in its log. */
export const startSidecar = ({ databaseUrl, rabbitmqUrl, lane }: Place, env: Record<string, string> = {}): Sidecar => {
  if (program === undefined) throw new Error('there is no sidecar')
  const startedMs = performance.now()
  const child = spawn(process.execPath, [program], {
    env: { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmqUrl, ESTEIRA_LANE: lane.name, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.pid === undefined) throw new Error(`${program} could not be started`)
  const ended = once(child, 'close')
  const lines: Line[] = []
  const watchers = new Set<() => void>()
  const look = () => {
    for (const watcher of watchers) watcher()
  }
  createInterface(child.stdout).on('line', (text) => {
    lines.push({ ...lineSchema.parse(JSON.parse(text)), atMs: performance.now() })
    look()
  })
  void ended.then(look)
  return {
    pid: child.pid,
    program: program.replace(/^.*\/(?=sidecar\/)/, ''),
    startedMs,
    lines,
    saw: (isMeant) => {
      const { promise, resolve, reject } = Promise.withResolvers<Line>()
      const watcher = () => {
        const line = lines.find(isMeant)
        if (line !== undefined) resolve(line)
        else if (child.exitCode !== null || child.signalCode !== null) reject(new Error('the relay ended'))
        else return
        watchers.delete(watcher)
      }
      watchers.add(watcher)
      watcher()
      return promise
    },
    end: async (signal) => {
      child.kill(signal)
      await ended
    },
  }
}
