import { defineFunction, page } from '../src/index.ts'
import * as z from 'zod'
import { runWorkerToKill } from './run-worker-to-kill.ts'

/**
 * A worker as a process of its own, to be killed. Its function, named by the fourth argument, gives as many items as the
 * sixth says, and is busy for good behind them; the fifth is `resumable` or `whole`.
 */
const [, , , name = '', kind = '', items = ''] = process.argv.slice(2)

const endless = () => new Promise<never>(() => {})

const resumable = defineFunction({
  name,
  config: z.looseObject({}),
  cursor: z.int(),
  run: async function* ({ cursor }) {
    for (let item = cursor ?? 0; item < Number(items); item += 1) yield page([`killed ${item}`], item + 1)
    await endless()
  },
})

const whole = defineFunction({
  name,
  config: z.looseObject({}),
  run: async function* () {
    for (let item = 0; item < Number(items); item += 1) yield `killed ${item}`
    await endless()
  },
})

await runWorkerToKill(kind === 'resumable' ? resumable : whole, { pageItems: 10 })
