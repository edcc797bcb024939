import { fileURLToPath } from 'node:url'
import { bundleTick, smallTick } from '@esteira/cron-job/bundle'

/** The program of a tick as it ships: bundled. Its parts lie beside it, so the folder is its own. */
const file = fileURLToPath(new URL('../../.esteira/bench/cron-job/main.js', import.meta.url))

/** Bundles the program; resolves to the words with which `node` runs it. */
export const bundledTick = async (): Promise<readonly string[]> => {
  await bundleTick(file)
  return [...smallTick, file]
}
