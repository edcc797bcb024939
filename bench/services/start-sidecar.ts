import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { smallProcess } from '@esteira/sidecar/bundle'
import { z } from 'zod'
import type { Place } from './open-place.ts'

/** The relay's process as it ships: bundled. */
export const relayProgram = fileURLToPath(new URL('../../.esteira/bench/relay.js', import.meta.url))

const lineSchema = z.looseObject({ event: z.string(), lane: z.string().optional(), confirmed: z.int().optional() })

/** A line of the log, and when it came, by this process's monotonic clock. */
export type Line = z.infer<typeof lineSchema> & { atMs: number }

export type Sidecar = {
  pid: number
  /** When it was told to start, by this process's monotonic clock. */
  startedMs: number
  lines: Line[]
  /** Waits for the first line that is meant, from those that came already on; throws if the process ends before. */
  saw: (isMeant: (line: Line) => boolean) => Promise<Line>
  end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
}

/** Starts a relay of the place's lane in a process of its own, with what it does while it works in its log. */
export const startSidecar = ({ databaseUrl, rabbitmqUrl, lane }: Place, env: Record<string, string> = {}): Sidecar => {
  const startedMs = performance.now()
  const child = spawn(process.execPath, [...smallProcess.options, relayProgram], {
    env: { ...smallProcess.env, DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmqUrl, ESTEIRA_LANE: lane.name, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.pid === undefined) throw new Error(`${relayProgram} could not be started`)
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
