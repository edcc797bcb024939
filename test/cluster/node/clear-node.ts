import { readdirSync } from 'node:fs'
import { endProcess, sight } from '@esteira/dev/processes'
import { removeGroup } from './cgroups.ts'
import { slotIn, socketOf } from './node-folder.ts'
import { placeOf } from './place.ts'

/**
 * Ends what a node leaves whose servers are gone: containers, and those who watch over them. Both outlive containerd.
 * Mounts and networks go with the last process in them. A folder that is none of a node is left as it is.
 */
export const clearNode = async (folder: string): Promise<void> => {
  const slot = slotIn(folder)
  if (slot === undefined) return
  const watchers = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), seen: sight(Number(name)) }))
    .flatMap(({ pid, seen }) => (seen?.command.includes(socketOf(folder)) === true ? [{ pid, ...seen }] : []))
    .filter(({ command }) => command.includes('containerd-shim'))
  await Promise.all(watchers.map((watcher) => endProcess(watcher, { signal: 'SIGKILL', graceMs: 10_000 })))
  await removeGroup(placeOf(slot).group)
}
