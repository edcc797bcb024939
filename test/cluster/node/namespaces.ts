import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import type { NodePrograms } from './node-programs.ts'

/** A network and mounts of the node's own: with the last process in them they are gone, whatever is in them. */
export type Namespaces = {
  pid: number
  /** What a program's words begin with that is to run inside. */
  enter: readonly string[]
  stop: RunServer['stop']
}

/**
 * Folders of the machine that a node writes to, wherever it is told to put its files. Inside, the first two are empty, and
 * what is written to the third is written to the run's folder.
 */
const mountsFor = (folder: string): string[] => [
  'mount -t tmpfs tmpfs /run',
  'mount -t tmpfs tmpfs /var/log',
  `mkdir ${folder}/lib ${folder}/lib-work`,
  `mount -t overlay overlay -o lowerdir=/var/lib,upperdir=${folder}/lib,workdir=${folder}/lib-work /var/lib`,
]

/** Makes them, held by a process that does nothing else. */
export const startNamespaces = async (programs: NodePrograms, run: RunFolder): Promise<Namespaces> => {
  const held = join(run.path, 'held')
  writeFileSync(held, '')
  const steps = [...mountsFor(run.path), `echo ready > ${held}`, `exec tail -f ${held}`]
  const holder = await startServer({
    run,
    name: 'namespaces',
    role: 'service',
    program: programs.unshare,
    words: ['--net', '--mount', '--', '/bin/sh', '-c', steps.join(' && ')],
    ask: async () => {
      if (readFileSync(held, 'utf8') === '') throw new Error('the namespaces are not there yet')
    },
  })
  const pid = holder.pid()
  if (pid === undefined) throw new Error('who holds the namespaces has ended')
  return { pid, enter: [programs.nsenter, '--target', String(pid), '--net', '--mount', '--'], stop: holder.stop }
}
