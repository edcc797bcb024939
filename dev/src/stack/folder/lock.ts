import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf } from '@esteira/service'
import { z } from 'zod'
import { sight } from '../../processes/sighting.ts'
import { StackError } from '../errors.ts'

const lockShape = z.object({ folder: z.string(), pid: z.int().positive(), started: z.string() })

/**
 * Takes a data folder for this process; the returned function gives it back. The lock of a process that was killed does
 * not count: a lock holds as long as its process runs, told by pid and start time. A copied folder's lock names the
 * folder it was copied from and does not count either.
 *
 * @throws StackError `folder_busy` that names the process, `folder_unusable` when nothing can be written there.
 */
export const lockFolder = (folder: string): (() => void) => {
  const file = join(folder, 'lock')
  const mine = `${file}.${process.pid}`
  const own = { folder, pid: process.pid, started: sight(process.pid)?.started ?? '' }
  try {
    writeFileSync(mine, JSON.stringify(own))
  } catch (cause) {
    throw new StackError('folder_unusable', `${folder} cannot be written to: ${reasonOf(cause)}`, { cause })
  }
  try {
    for (let tries = 0; tries < 5; tries++) {
      if (take(mine, file)) return () => rmSync(file, { force: true })
      const holder = read(file)
      if (holder === undefined) continue
      if (holder.folder === folder && sight(holder.pid)?.started === holder.started) throw busy(folder, holder.pid)
      setAside(file, holder)
    }
    throw new StackError('folder_busy', `several starts at once want ${folder}; try again`)
  } finally {
    rmSync(mine, { force: true })
  }
}

/** A link is made or refused in one step, with the content already in it. */
const take = (mine: string, file: string): boolean => {
  try {
    linkSync(mine, file)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

const read = (file: string): z.infer<typeof lockShape> | undefined => {
  try {
    return lockShape.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Removes a lock that does not count. Two starts may both have found it: the slower one could move away the lock that
 * the faster one has taken since, so what was moved is looked at, and put back if it is not the one that was read.
 */
const setAside = (file: string, stale: z.infer<typeof lockShape>): void => {
  const aside = `${file}.stale.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  const moved = read(aside)
  if (moved !== undefined && (moved.pid !== stale.pid || moved.started !== stale.started)) take(aside, file)
  rmSync(aside, { force: true })
}

const busy = (folder: string, pid: number): StackError =>
  new StackError('folder_busy', `${folder} is in use by process ${pid}; stop that one first`)
