import type { Log, Running } from '@esteira/service'
import type { StepFunction } from '../../function/define-function.ts'
import type { Secrets } from '../../secrets/read-secrets.ts'
import type { Asked, Said } from './messages.ts'
import { createWardAttempts } from './ward-attempts.ts'
import { openWardUnits } from './ward-units.ts'

type WardOptions = {
  functions: readonly StepFunction[]
  databaseUrl: string
  worker: string
  secrets: Secrets
  maxPayloadBytes: number
  log: Log
}

/** How often it says that it lives, milliseconds. */
const signMs = 250

/** When its worker is gone, what still runs here is nobody's: milliseconds until this process is killed. */
const goneMs = 3_000

/**
 * Makes this process a ward: it attempts the jobs that its worker gives it, and ends when the worker lets it go or is gone,
 * whatever its functions do.
 */
export const serveWard = (options: WardOptions): Required<Running> => {
  const functions = new Map(options.functions.map((fn) => [fn.name, fn]))
  const units = options.functions.some(({ unit }) => unit === 'own') ? openWardUnits(options) : null
  const functionOf = ({ job }: { job: { functionName: string } }) => functions.get(job.functionName)
  const attempts = createWardAttempts({ ...options, functionOf, units, say })
  const gone = Promise.withResolvers<number>()

  process.on('message', (asked: Asked) => attempts.hear(asked))
  process.on('uncaughtExceptionMonitor', (error) => {
    // Its text may hold a secret.
    void say({ kind: 'uncaught', name: error instanceof Error ? error.name : typeof error })
  })
  process.on('disconnect', () => {
    attempts.abort(new Error('the worker is gone'))
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), goneMs).unref()
    gone.resolve(0)
  })
  const signs = setInterval(() => void say({ kind: 'alive' }), signMs)
  void say({ kind: 'ready' })
  return {
    ended: gone.promise,
    stop: async () => {
      clearInterval(signs)
      await units?.close()
    },
  }
}

/** With the callback the text has left this process: it is heard even if the next line ends it. */
const say = (said: Said): Promise<void> =>
  new Promise((resolve) => process.send?.(said, undefined, undefined, () => resolve()))
