import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where containerd of the node in a run's folder is spoken to. */
export const socketOf = (folder: string): string => join(folder, 'containerd.sock')

/** Where containerd looks, each time that it pulls, how a registry is spoken to: by TLS unless its folder there says otherwise. */
export const registriesOf = (folder: string): string => join(folder, 'registries')

/** Says of a run's folder that it is that of the node in a slot, before anything is made there. */
export const markAsNode = (folder: string, slot: number): void => writeFileSync(markOf(folder), String(slot))

/** The slot of the node in a run's folder; undefined when it has none. */
export const slotIn = (folder: string): number | undefined => {
  if (!existsSync(markOf(folder))) return undefined
  return Number(readFileSync(markOf(folder), 'utf8'))
}

const markOf = (folder: string): string => join(folder, 'slot')
