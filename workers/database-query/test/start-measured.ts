import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Engine, laneName } from '@esteira/test/engine'
import { waitFor } from '@esteira/test/support'
import { onTestFinished } from 'vitest'
import { target } from './use-target.ts'

const program = fileURLToPath(new URL('measured-worker.ts', import.meta.url))

/** Starts the worker as a process. `end` asks it to end, and resolves to the most memory that it has had, MiB. */
export const startMeasured = async (engine: Engine, options: readonly string[]) => {
  const child = spawn(process.execPath, [...options, program], {
    env: {
      DATABASE_URL: engine.databaseUrl,
      RABBITMQ_URL: engine.rabbitmqUrl,
      ESTEIRA_LANE: laneName,
      ESTEIRA_CONNECTION_CRM: target.url,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  await waitFor(() => said.includes('"event":"ready"'), { describe: () => said, deadlineMs: 40_000 })
  return {
    isGone: () => child.exitCode !== null || child.signalCode !== null,
    end: async (): Promise<number> => {
      child.kill('SIGTERM')
      await once(child, 'close')
      return JSON.parse(said.trim().split('\n').at(-1) ?? '').peakMiB
    },
  }
}
