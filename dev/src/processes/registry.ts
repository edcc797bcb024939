import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { endProcess } from './end-process.ts'
import { sight } from './sighting.ts'

/** What a later start must know of a process to stop it when its supervisor was killed. */
export type Recorded = {
  name: string
  /** Services are stopped after the programs, which may still write to them. */
  role: 'program' | 'service'
  pid: number
  started: string
  /** Text in its command line that no stranger's has: a path, or a name made for this folder. */
  mark: string
  stopSignal: NodeJS.Signals
  graceMs: number
}

/** The processes that were started for one data folder, kept in a file so that they are known after a SIGKILL. */
export type Registry = {
  add: (entry: Omit<Recorded, 'started'>) => void
  remove: (pid: number) => void
  /** Stops what an earlier supervisor left running. Only processes that are certainly the recorded ones are touched. */
  stopOrphans: (observe: (orphan: { name: string; pid: number }) => void) => Promise<void>
}

/** Opens the registry in `file`. `folder` is the data folder's path: a copied file says nothing about its copy. */
export const openRegistry = (file: string, folder: string): Registry => {
  let entries = read(file, folder)

  const write = () => {
    // Renamed into place, so that a SIGKILL in the middle leaves the old list or the new one.
    writeFileSync(`${file}.new`, `${JSON.stringify({ folder, processes: entries }, null, 2)}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }

  return {
    add: (entry) => {
      const seen = sight(entry.pid)
      if (seen === undefined) return
      entries = [...entries, { ...entry, started: seen.started }]
      write()
    },
    remove: (pid) => {
      entries = entries.filter((entry) => entry.pid !== pid)
      write()
    },
    stopOrphans: async (observe) => {
      const orphans = entries.filter(({ pid, started, mark }) => {
        const seen = sight(pid)
        return seen !== undefined && seen.started === started && seen.command.includes(mark)
      })
      for (const role of ['program', 'service'] as const) {
        await Promise.all(
          orphans
            .filter((orphan) => orphan.role === role)
            .map(async (orphan) => {
              await endProcess(orphan, { signal: orphan.stopSignal, graceMs: orphan.graceMs })
              observe({ name: orphan.name, pid: orphan.pid })
            }),
        )
      }
      entries = []
      write()
    },
  }
}

const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGKILL'] as const

const fileShape = z.object({
  folder: z.string(),
  processes: z.array(
    z.object({
      name: z.string(),
      role: z.enum(['program', 'service']),
      pid: z.int().positive(),
      started: z.string(),
      mark: z.string().min(1),
      stopSignal: z.enum(signals),
      graceMs: z.number(),
    }),
  ),
})

const read = (file: string, folder: string): Recorded[] => {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  const recorded = fileShape.parse(JSON.parse(text))
  return recorded.folder === folder ? recorded.processes : []
}
