import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf } from '@esteira/service'
import { waitFor } from '@esteira/test/support'
import { onTestFinished } from 'vitest'

/** A cgroup with so much memory, as a container has. */
export type MemoryGroup = {
  /** The file that a process writes its id to, to be in the group with all that it starts. */
  procs: string
  /** How often something in it was killed because the memory was full. */
  oomKills: () => number
}

const root = '/sys/fs/cgroup'

/** Makes one, which is gone when the test is over; or says why there can be none here. */
export const makeMemoryGroup = (bytes: number): MemoryGroup | { whyNot: string } => {
  if (process.platform !== 'linux') return { whyNot: 'only Linux has cgroups' }
  if (process.getuid?.() !== 0) return { whyNot: 'only root makes cgroups' }
  const isVersion2 = existsSync(join(root, 'cgroup.controllers'))
  const folder = join(root, isVersion2 ? '' : 'memory', `esteira-test-${process.pid}-${performance.now().toFixed(0)}`)
  try {
    if (isVersion2) writeFileSync(join(root, 'cgroup.subtree_control'), '+memory')
    mkdirSync(folder)
    onTestFinished(() => remove(folder))
    const limits = isVersion2 ? limitsOfVersion2(bytes) : limitsOfVersion1(bytes)
    for (const [file, value] of limits) writeIfThere(join(folder, file), value)
    if (!existsSync(join(folder, limits[0]?.[0] ?? ''))) return { whyNot: 'the cgroups here limit no memory' }
  } catch (error) {
    return { whyNot: `no cgroup can be made here: ${reasonOf(error)}` }
  }
  const counts = join(folder, isVersion2 ? 'memory.events' : 'memory.oom_control')
  return {
    procs: join(folder, 'cgroup.procs'),
    oomKills: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(counts, 'utf8'))?.[1]),
  }
}

type Limits = readonly (readonly [file: string, value: string])[]

/** Without swap, as in a pod; and killed as a whole, as Kubernetes has it. */
const limitsOfVersion2 = (bytes: number): Limits => [
  ['memory.max', String(bytes)],
  ['memory.swap.max', '0'],
  ['memory.oom.group', '1'],
]

/** There only one process is killed. */
const limitsOfVersion1 = (bytes: number): Limits => [
  ['memory.limit_in_bytes', String(bytes)],
  ['memory.memsw.limit_in_bytes', String(bytes)],
]

/** Where the kernel counts no swap there is no file for it. */
const writeIfThere = (file: string, value: string): void => {
  if (existsSync(file)) writeFileSync(file, value)
}

/** The last process of a group counts for a moment after its end. */
const remove = async (folder: string): Promise<void> => {
  await waitFor(
    () => {
      try {
        rmdirSync(folder)
        return true
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EBUSY') return false
        throw error
      }
    },
    { describe: () => readFileSync(join(folder, 'cgroup.procs'), 'utf8'), deadlineMs: 60_000 },
  )
}
