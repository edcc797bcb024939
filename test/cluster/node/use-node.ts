import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { send } from '@esteira/dev/processes'
import { inject } from 'vitest'
import { z } from 'zod'
import { pidsInGroup } from './cgroups.ts'
import { importImage as importInto } from './import-image.ts'

/** Whether the cluster is a node of this machine, whose processes a test may kill. */
export const ownsNode = (): boolean => inject('node') !== null

const ownNode = () => {
  const node = inject('node')
  if (node === null) throw new Error('with ESTEIRA_TEST_KUBECONFIG there is no node on this machine')
  return node
}

/** Whether pods of the tests' images run on the cluster, and reach this machine. */
export const runsReleases = (): boolean => ownsNode() || inject('ways') !== null

/** What pods find this machine at: servers that they are to reach listen there. */
export const machineAddress = (): string => inject('ways')?.host ?? ownNode().place.machine

/** Gives the node the images of an archive. */
export const importImage = (archive: string): Promise<void> => importInto({ ...ownNode(), archive })

/** Sends a signal to the processes of a container, by the id that its pod's status tells. */
export const killContainer = (containerId: string, signal: NodeJS.Signals = 'SIGKILL'): void => {
  const id = containerId.replace(/^containerd:\/\//, '')
  const pids = pidsInGroup(ownNode().place.group, new RegExp(`/${id}(/|$)`))
  if (pids.length === 0) throw new Error(`nothing runs in the container ${id}`)
  for (const pid of pids) send(pid, signal)
}

/** Kills the kubelet, which is started again at once; its containers live on. */
export const killKubelet = (): void => {
  const { processes } = recordShape.parse(JSON.parse(readFileSync(join(ownNode().folder, 'processes.json'), 'utf8')))
  const kubelet = processes.find(({ name }) => name === 'kubelet')
  if (kubelet === undefined) throw new Error('the kubelet is down')
  send(kubelet.pid, 'SIGKILL')
}

const recordShape = z.object({ processes: z.array(z.object({ name: z.string(), pid: z.number() })) })
