import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sight } from '../../processes/sighting.ts'

/**
 * Removes the lock file of a postmaster that is dead but still listed, as a killed process is until its parent has asked
 * how it ended. Postgres takes it for alive and does not start.
 */
export const removeDeadLockFile = (data: string): void => {
  const file = join(data, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'latin1').split('\n')[0])
  if (sight(pid) === undefined) rmSync(file, { force: true })
}
