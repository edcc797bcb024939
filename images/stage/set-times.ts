import { lutimesSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Gives a folder, and all in it, one time: an engine takes those of files over, and with them the image would be another. */
export const setTimes = (folder: string, epoch: number): void => {
  for (const file of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, file.name)
    if (file.isDirectory()) setTimes(path, epoch)
    else lutimesSync(path, epoch, epoch)
  }
  lutimesSync(folder, epoch, epoch)
}
