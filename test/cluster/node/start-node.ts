import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { askUntil } from '@esteira/dev/stack'
import { createKubectl } from '../api/kubectl.ts'
import { startApiServer, type ApiServer, type Surroundings } from '../api/start-api-server.ts'
import { openRunFolder, type RunFolder } from '../run/run-folder.ts'
import type { Means } from '../tools/cache.ts'
import { makeGroup } from './cgroups.ts'
import { clearNode } from './clear-node.ts'
import { importImage } from './import-image.ts'
import { startNamespaces } from './namespaces.ts'
import { connectNode, writePodNetwork } from './network.ts'
import { markAsNode } from './node-folder.ts'
import type { NodePrograms } from './node-programs.ts'
import type { Place } from './place.ts'
import { writePodImage } from './pod-image.ts'
import { startContainerd } from './start-containerd.ts'
import { startControllers } from './start-controllers.ts'
import { nodeName, startKubelet, startKubeProxy } from './start-kubelet.ts'
import { nodeRuns, takePlace } from './take-place.ts'

/** A Kubernetes of one node. */
export type ClusterNode = {
  /** Of an administrator. */
  kubeconfig: string
  auditLog: string
  /** Where its files are. */
  folder: string
  place: Place
  stop: () => Promise<void>
}

/** Starts a node, with its control plane. */
export const startNode = async (means: Means, programs: NodePrograms, kubectl: string): Promise<ClusterNode> => {
  const { place, giveBack } = await takePlace(means)
  const run = await openRunFolder(nodeRuns)
  const stops: (() => Promise<void>)[] = [async () => giveBack(), run.release, () => clearNode(run.path)]
  // What was started last is stopped first.
  const stop = async () => {
    for (const step of stops.toReversed()) await step()
  }
  try {
    const { kubeconfig, auditLog } = await startParts({ means, programs, run, kubectl, place }, (part) =>
      stops.push(part),
    )
    return { kubeconfig, auditLog, folder: run.path, place, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

type Given = { means: Means; programs: NodePrograms; run: RunFolder; kubectl: string; place: Place }

/** Starts all parts, and tells how to stop each as soon as it is up. */
const startParts = async (
  { means, programs, run, kubectl, place }: Given,
  add: (stop: () => Promise<void>) => void,
): Promise<ApiServer> => {
  markAsNode(run.path, place.slot)
  makeGroup(place.group)
  const namespaces = await startNamespaces(programs, run)
  add(namespaces.stop)
  await connectNode(programs, namespaces, place)
  const podNetwork = join(run.path, 'network')
  mkdirSync(podNetwork)

  const runtime = async () => {
    const containerd = await startContainerd(programs, run, namespaces, writePodNetwork(podNetwork, place))
    add(containerd.stop)
    const archive = await writePodImage(means, { program: programs.pod, folder: run.path })
    await importImage({ ctr: programs.ctr, folder: run.path, archive })
  }
  const startApi = async (): Promise<ApiServer> => {
    const server = await startApiServer(programs.apiServer, run, surroundingsOf(place))
    add(server.stop)
    for (const { stop } of await startControllers(programs, run, server)) add(stop)
    return server
  }
  // Both to their end, also when one fails: what the other started is to be stopped.
  const [api, ran] = await Promise.allSettled([startApi(), runtime()])
  if (api.status === 'rejected') throw api.reason
  if (ran.status === 'rejected') throw ran.reason
  add((await startKubelet(programs, run, namespaces, api.value, place)).stop)
  add((await startKubeProxy(programs, run, namespaces, api.value, place)).stop)
  const ask = createKubectl({ kubectl, kubeconfig: api.value.kubeconfig, folder: run.path })
  const isReady = ['wait', '--for', 'condition=Ready', `node/${nodeName}`, '--timeout', '5s']
  await askUntil(async () => void (await ask(isReady)), 200, AbortSignal.timeout(60_000))
  return api.value
}

const surroundingsOf = ({ machine, services, firstService }: Place): Surroundings => ({
  // On this machine and not inside the node: it reaches pods as they reach it.
  address: machine,
  port: 6443,
  services,
  firstService,
  identities: {
    'kube-controller-manager': { user: 'system:kube-controller-manager' },
    'kube-scheduler': { user: 'system:kube-scheduler' },
    'kube-proxy': { user: 'system:kube-proxy' },
    kubelet: { user: `system:node:${nodeName}`, groups: ['system:nodes'] },
  },
  words: async (authority) => {
    const toKubelet = await authority.issue({ name: 'to-kubelet', subject: '/O=system:masters/CN=kube-apiserver' })
    const toApis = await authority.issue({ name: 'to-apis', subject: '/CN=aggregator' })
    return [
      ['--authorization-mode', 'Node,RBAC', '--allow-privileged'],
      ['--client-ca-file', authority.file],
      ['--kubelet-client-certificate', toKubelet.certificate, '--kubelet-client-key', toKubelet.key],
      ['--kubelet-preferred-address-types', 'InternalIP'],
      // APIs that pods serve, such as that of metrics.
      ['--requestheader-client-ca-file', authority.file, '--requestheader-allowed-names', 'aggregator'],
      ['--requestheader-username-headers', 'X-Remote-User', '--requestheader-group-headers', 'X-Remote-Group'],
      ['--requestheader-extra-headers-prefix', 'X-Remote-Extra-', '--enable-aggregator-routing'],
      ['--proxy-client-cert-file', toApis.certificate, '--proxy-client-key-file', toApis.key],
    ].flat()
  },
})
