import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { compileCache } from '@esteira/test/support'
import { onTestFinished } from 'vitest'
import * as z from 'zod'
import { settleWaitingRuns } from '../src/index.ts'
import { type Engine, laneName } from './engine.ts'
import type { MemoryGroup } from './memory-group.ts'

const program = fileURLToPath(new URL('poison-worker/main.ts', import.meta.url))

const lineSchema = z.looseObject({ event: z.string() })

/**
 * A worker process that is started anew whenever it ends, as a supervisor does, until the test is over. Beside it runs the
 * control plane's sweep of runs: a process that dies between its commit and its hint leaves its run open. In a group it has
 * the heap that Node gives it there, as in a container; else a small one.
 */
export const keepWorker = (
  engine: Pick<Engine, 'databaseUrl' | 'rabbitmqUrl' | 'em'>,
  functions: readonly string[],
  env: Record<string, string> = {},
  group?: MemoryGroup,
) => {
  /** How each of its processes ended, and the lines of its log. */
  const deaths: string[] = []
  const lines: z.output<typeof lineSchema>[] = []
  const over = new AbortController()
  let current = start()
  const sweeping = sweep()

  async function sweep() {
    while (!over.signal.aborted) {
      await settleWaitingRuns(engine.em(), 100)
      await delay(500)
    }
  }

  function start() {
    const [command, ...args]: [string, ...string[]] =
      group === undefined
        ? [process.execPath, '--max-old-space-size=192', program, ...functions]
        : ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', group.procs, process.execPath, program, ...functions]
    const child = spawn(command, args, {
      env: {
        ...compileCache(),
        DATABASE_URL: engine.databaseUrl,
        RABBITMQ_URL: engine.rabbitmqUrl,
        ESTEIRA_LANE: laneName,
        ESTEIRA_LOG_LEVEL: 'debug',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    createInterface(child.stdout).on('line', (text) => {
      const line = lineSchema.safeParse(parsed(text))
      if (line.success) lines.push(line.data)
    })
    child.on('exit', (code, signal) => {
      if (over.signal.aborted) return
      deaths.push(signal ?? `exit code ${code}`)
      current = start()
    })
    return child
  }

  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    over.abort()
    if (current.exitCode === null && current.signalCode === null) {
      current.kill(signal)
      await once(current, 'exit')
    }
    return current.exitCode
  }
  onTestFinished(async () => {
    await end('SIGKILL')
    await sweeping
  })
  return {
    deaths,
    lines,
    saw: (event: string) => lines.filter((line) => line.event === event),
    kill: (signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') => current.kill(signal),
    /** Asks it to stop, and resolves to its exit code. */
    stop: () => end('SIGTERM'),
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
