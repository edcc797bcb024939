import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { send } from '@esteira/dev/processes'

const root = '/sys/fs/cgroup'

/** With version 1 there is a tree for each kind of resource, and beside them one of version 2 that has none; else only that. */
const trees = (): string[] =>
  existsSync(join(root, 'cgroup.controllers'))
    ? [root]
    : readdirSync(root)
        .map((name) => join(root, name))
        .filter((tree) => existsSync(join(tree, 'cgroup.procs')))

/** Makes the group in every tree. */
export const makeGroup = (name: string): void => {
  for (const tree of trees()) mkdirSync(join(tree, name), { recursive: true })
}

/** The pids of what runs in the group, or in that part of it whose path the pattern fits. */
export const pidsInGroup = (name: string, pattern: RegExp = /(?:)/): number[] => {
  const pids = groupsIn(name)
    .filter((group) => pattern.test(group))
    .flatMap((group) => readIfThere(join(group, 'cgroup.procs')).split('\n'))
    .filter((line) => line !== '')
    .map(Number)
  return [...new Set(pids)]
}

/** Kills what runs in the group and removes it. */
export const removeGroup = async (name: string): Promise<void> => {
  for (let tries = 0; groupsIn(name).length > 0; tries++) {
    // Anew each time: what is killed may have been making another one.
    const pids = pidsInGroup(name)
    if (tries === 200) throw new Error(`${name} cannot be removed; in it are ${pids.join(', ')}`)
    for (const pid of pids) send(pid, 'SIGKILL')
    // Parts before the whole.
    if (pids.length === 0)
      for (const group of groupsIn(name).toSorted((a, b) => b.length - a.length)) removeIfFree(group)
    await delay(50)
  }
}

const groupsIn = (name: string): string[] =>
  trees()
    .map((tree) => join(tree, name))
    .filter((group) => existsSync(group))
    .flatMap((group) => globSync('**/cgroup.procs', { cwd: group }).map((file) => dirname(join(group, file))))

/** The last process of a group counts for a moment after its end. */
const removeIfFree = (group: string): void => {
  try {
    rmdirSync(group)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'EBUSY' || error.code === 'ENOENT'))) throw error
  }
}

const readIfThere = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV')) return ''
    throw error
  }
}
