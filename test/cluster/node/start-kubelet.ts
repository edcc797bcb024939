import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiServer } from '../api/start-api-server.ts'
import type { RunFolder } from '../run/run-folder.ts'
import { startServer, type RunServer } from '../run/start-server.ts'
import type { Namespaces } from './namespaces.ts'
import { socketOf } from './node-folder.ts'
import type { NodePrograms } from './node-programs.ts'
import type { Place } from './place.ts'

export const nodeName = 'node'

/** Starts what makes containers of pods. It is started again when it falls, so that tests may kill it. */
export const startKubelet = (
  programs: NodePrograms,
  run: RunFolder,
  { enter }: Namespaces,
  { kubeconfigOf }: ApiServer,
  place: Place,
): Promise<RunServer> => {
  const at = (name: string) => join(run.path, name)
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${socketOf(run.path)}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${place.group}`,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    authentication: {
      anonymous: { enabled: false },
      x509: { clientCAFile: at('authority.crt') },
      webhook: { enabled: true },
    },
    authorization: { mode: 'Webhook' },
    healthzBindAddress: place.node,
    podLogsDir: at('pod-logs'),
    volumePluginDir: at('volume-plugins'),
    // Pods know addresses only: there is no server of names.
    resolvConf: '',
    makeIPTablesUtilChains: false,
    // What fills the machine besides is no reason to end a pod of the tests.
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  }
  writeFileSync(at('kubelet.json'), JSON.stringify(config))
  const [nsenter = '', ...inside] = enter
  const words = [
    ['--kubeconfig', kubeconfigOf('kubelet'), '--config', at('kubelet.json'), '--root-dir', at('kubelet')],
    ['--hostname-override', nodeName, '--node-ip', place.node, '--cert-dir', at('kubelet-pki')],
  ].flat()
  return startServer({
    run,
    name: 'kubelet',
    role: 'program',
    program: nsenter,
    words: [...inside, programs.kubelet, ...words],
    restart: true,
    ask: () => isHealthy(`http://${place.node}:10248/healthz`),
  })
}

/** Starts what leads the addresses of Services to their pods. */
export const startKubeProxy = (
  programs: NodePrograms,
  run: RunFolder,
  { enter }: Namespaces,
  { kubeconfigOf }: ApiServer,
  place: Place,
): Promise<RunServer> => {
  const [nsenter = '', ...inside] = enter
  const health = `${place.node}:10256`
  const words = [
    ['--kubeconfig', kubeconfigOf('kube-proxy'), '--hostname-override', nodeName, '--proxy-mode', 'iptables'],
    // Pods and this machine are on one bridge: an answer would go past whoever changed the question's address.
    ['--masquerade-all', '--healthz-bind-address', health],
    // Limits of the whole machine are left as they are.
    ['--conntrack-max-per-core=0', '--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0'],
  ].flat()
  return startServer({
    run,
    name: 'kube-proxy',
    role: 'program',
    program: nsenter,
    words: [...inside, programs.kubeProxy, ...words],
    ask: () => isHealthy(`http://${health}/livez`),
  })
}

const isHealthy = async (url: string): Promise<void> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
}
