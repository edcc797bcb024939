import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { type Engine, laneName } from '../../lib/workflow/test/engine.ts'
import { compileCache } from './compile-cache.ts'
import { waitFor } from './wait-for.ts'

/** Starts a worker's program as a process, with the environment of an engine; resolves when it takes jobs. */
export const startWorkerProgram = async (engine: Engine, program: string, env: Record<string, string>) => {
  const child = spawn(process.execPath, [program], {
    env: {
      ...compileCache(),
      DATABASE_URL: engine.databaseUrl,
      RABBITMQ_URL: engine.rabbitmqUrl,
      ESTEIRA_LANE: laneName,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit').then(() => child.exitCode)
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(kill)
  await waitFor(() => said.includes('"event":"ready"'), { describe: () => said, deadlineMs: 60_000 })
  return {
    /** What it has logged. */
    said: () => said,
    kill,
    /** Asks it to end, and resolves to its exit code. */
    stop: (): Promise<number | null> => {
      child.kill('SIGTERM')
      return exited
    },
  }
}
