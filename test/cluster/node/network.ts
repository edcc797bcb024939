import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Namespaces } from './namespaces.ts'
import type { NodePrograms } from './node-programs.ts'
import type { Place } from './place.ts'

/** Links the machine to the node. @throws when a network of the machine has these addresses already. */
export const connectNode = async (programs: NodePrograms, { pid, enter }: Namespaces, place: Place): Promise<void> => {
  const { pods, services, node, machine, link } = place
  const bits = pods.split('/')[1]
  const ip = async (...words: string[]): Promise<string> => (await run(programs.ip, words)).stdout
  const [nsenter = '', ...inside] = enter
  const ipInside = (...words: string[]) => run(nsenter, [...inside, programs.ip, ...words])

  const taken = await ip('route', 'show', 'to', 'root', pods)
  if (taken !== '') throw new Error(`a network of this machine has the addresses of the node's pods: ${taken.trim()}`)
  await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'machine', 'netns', String(pid))
  await ipInside('link', 'set', 'lo', 'up')
  await ipInside('link', 'add', bridge, 'type', 'bridge')
  await ipInside('addr', 'add', `${node}/${bits}`, 'dev', bridge)
  await ipInside('link', 'set', 'machine', 'master', bridge, 'up')
  await ipInside('link', 'set', bridge, 'up')
  // Nothing is carried on from here; but what has no way at all is refused before it is led to a Service's pod.
  await ipInside('route', 'add', 'default', 'via', machine)
  await ip('addr', 'add', `${machine}/${bits}`, 'dev', link)
  await ip('link', 'set', link, 'up')
  await ip('route', 'add', services, 'via', node)
}

/** Its name inside. */
const bridge = 'pods'

const run = promisify(execFile)

/** Writes how pods are put on the bridge; the folder. */
export const writePodNetwork = (folder: string, { pods, firstPod, lastPod, node }: Place): string => {
  const ipam = {
    type: 'host-local',
    subnet: pods,
    rangeStart: firstPod,
    rangeEnd: lastPod,
    gateway: node,
    dataDir: join(folder, 'addresses'),
    routes: [{ dst: '0.0.0.0/0' }],
  }
  const plugin = { type: 'bridge', bridge, isGateway: true, ipMasq: false, hairpinMode: true, ipam }
  const list = { cniVersion: '0.4.0', name: 'pods', plugins: [plugin] }
  writeFileSync(join(folder, '10-pods.conflist'), JSON.stringify(list))
  return folder
}
