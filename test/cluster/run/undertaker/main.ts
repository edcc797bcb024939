import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { clearDeadRun } from '../clear-dead-runs.ts'

/**
 * Waits for the end of the run that started it: the kernel closes the pipe to it then, however the run ended. If it left
 * its folder, it did not get to stop what it had started.
 */
const [folder = ''] = process.argv.slice(2)
process.stdin.resume()
await once(process.stdin, 'end')
// The pipe is closed a moment before the process counts as gone.
for (let tries = 0; existsSync(folder) && tries < 100; tries++) {
  if (await clearDeadRun(folder)) break
  await delay(100)
}
