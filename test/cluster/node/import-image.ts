import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { socketOf } from './node-folder.ts'

/** Gives a node the images of an archive, in the format of OCI or of `docker save`. */
export const importImage = async ({ ctr, folder, archive }: { ctr: string; folder: string; archive: string }) => {
  const words = ['--address', socketOf(folder), '--namespace', 'k8s.io', 'images', 'import', archive]
  await promisify(execFile)(ctr, words)
}
