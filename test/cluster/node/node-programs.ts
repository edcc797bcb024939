import { dirname, join } from 'node:path'
import { apiServerPrograms } from '../tools/api-server-programs.ts'
import type { Means } from '../tools/cache.ts'
import { debianPrograms } from '../tools/debian-programs.ts'
import { goPrograms, kubernetes, pod } from '../tools/go-programs.ts'

/** Brings what a node needs. */
export const nodeProgramsFor = async (means: Means) => {
  const apiServer = await apiServerPrograms(means)
  const debian = await debianPrograms(means, {
    containerd: 'containerd',
    ctr: 'containerd',
    runc: 'runc',
    'host-local': 'containernetworking-plugins',
    ip: 'iproute2',
    iptables: 'iptables',
    nsenter: 'util-linux',
    unshare: 'util-linux',
  })
  const kubernetesFolder = await goPrograms(means, kubernetes)
  return {
    apiServer,
    containerd: debian('containerd'),
    ctr: debian('ctr'),
    runc: debian('runc'),
    ip: debian('ip'),
    nsenter: debian('nsenter'),
    unshare: debian('unshare'),
    networkPlugins: dirname(debian('host-local')),
    controllerManager: join(kubernetesFolder, 'kube-controller-manager'),
    scheduler: join(kubernetesFolder, 'kube-scheduler'),
    kubelet: join(kubernetesFolder, 'kubelet'),
    kubeProxy: join(kubernetesFolder, 'kube-proxy'),
    pod: join(await goPrograms(means, pod), 'pod'),
  }
}

export type NodePrograms = Awaited<ReturnType<typeof nodeProgramsFor>>
