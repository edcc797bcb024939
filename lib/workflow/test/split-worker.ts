import { retry, snooze } from '../src/index.ts'
import { functionOf } from './engine.ts'
import { runWorkerToKill } from './run-worker-to-kill.ts'

/**
 * A worker as a process of its own, to be killed. Its function, named by the fourth argument, gives two items; a payload
 * `hang` keeps it busy for good, and `retry` or `snooze` has the first attempt put off.
 */
const [, , , functionName = ''] = process.argv.slice(2)

await runWorkerToKill(
  functionOf(functionName, ({ attempt, payload }) => {
    if (attempt > 1) return ['a', 'b']
    if (payload === 'hang') return new Promise(() => {})
    if (payload === 'retry') return retry('once more')
    return payload === 'snooze' ? snooze(0) : ['a', 'b']
  }),
)
