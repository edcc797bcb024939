import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { lockFolder, StackError } from '@esteira/dev/stack'
import { clearDeadRuns } from '../run/clear-dead-runs.ts'
import type { Means } from '../tools/cache.ts'
import { slotIn } from './node-folder.ts'
import { placeOf, slots, type Place } from './place.ts'

/** Where nodes have their folders. On a disk, since containers' layers are there; and short. */
export const nodeRuns = '/var/tmp/esteira-nodes'

/**
 * Takes a place for a node that no other has, and waits for one if need be. What a killed run left there is cleared
 * before it is ours.
 */
export const takePlace = async ({ tell }: Means): Promise<{ place: Place; giveBack: () => void }> => {
  mkdirSync(nodeRuns, { recursive: true })
  for (let isTold = false; ; isTold = true) {
    for (let slot = 0; slot < slots; slot++) {
      const giveBack = take(slot)
      if (giveBack === undefined) continue
      while (readdirSync(nodeRuns).some((name) => slotIn(join(nodeRuns, name)) === slot)) {
        await clearDeadRuns(nodeRuns)
        await delay(100)
      }
      return { place: placeOf(slot), giveBack }
    }
    if (!isTold) tell(`${slots} other runs have a node on this machine; waiting for the end of one`)
    await delay(500)
  }
}

const take = (slot: number): (() => void) | undefined => {
  const folder = `${nodeRuns}-slots/${slot}`
  mkdirSync(folder, { recursive: true })
  try {
    return lockFolder(folder)
  } catch (error) {
    if (error instanceof StackError && error.code === 'folder_busy') return undefined
    throw error
  }
}
