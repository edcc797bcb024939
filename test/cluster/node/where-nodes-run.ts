import { existsSync } from 'node:fs'

/** What of a machine decides whether a node runs on it. */
export type Machine = { platform: NodeJS.Platform; user: number | undefined; hasCgroups: boolean }

export const thisMachine = (): Machine => ({
  platform: process.platform,
  user: process.getuid?.(),
  hasCgroups: existsSync('/sys/fs/cgroup'),
})

/** @throws where no node runs, with what is lacking and what to do instead. */
export const refuseWhereNoNodeRuns = ({ platform, user, hasCgroups }: Machine): void => {
  const lacking = [
    ...(platform === 'linux' ? [] : ['Linux']),
    ...(user === 0 ? [] : ['root']),
    ...(hasCgroups ? [] : ['cgroups']),
  ]
  if (lacking.length === 0) return
  throw new Error(
    `Tests on a Kubernetes node need ${lacking.join(', ')}. ESTEIRA_TEST_KUBECONFIG names the kubeconfig of a cluster ` +
      'to use instead; npm run test:cluster -- --project charts --project api runs those that need no node.',
  )
}
