import { functionOf } from './engine.ts'
import { runWorkerToKill } from './run-worker-to-kill.ts'

/**
 * A worker as a process of its own, to be killed. Its function, named by the fourth argument, gives two items; a payload
 * `hang` keeps it busy for good.
 */
const [, , , functionName = ''] = process.argv.slice(2)

await runWorkerToKill(
  functionOf(functionName, ({ attempt, payload }) =>
    payload === 'hang' && attempt === 1 ? new Promise(() => {}) : ['a', 'b'],
  ),
)
