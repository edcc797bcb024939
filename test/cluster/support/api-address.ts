import type { TestNamespace } from '../api/namespace.ts'
import { ownsNode } from '../node/use-node.ts'
import { ofControlPlane } from './pods.ts'

/** Where this machine finds the API of the release in a namespace, and what ends that. */
export const reachApi = async (namespace: TestNamespace): Promise<{ url: string; stop: () => Promise<void> }> => {
  const ask = (kind: string, what: string) =>
    namespace.kubectl(['get', kind, '--selector', ofControlPlane, '--output', `jsonpath={.items[0]${what}}`])
  if (ownsNode()) {
    const url = `http://${await ask('services', '.spec.clusterIP')}:${await ask('services', '.spec.ports[0].port')}`
    return { url, stop: async () => undefined }
  }
  const port = await ask('pods', '.spec.containers[?(@.name=="control-plane")].ports[?(@.name=="http")].containerPort')
  // It would cost the tests on the node of the run a second and 60 MiB.
  const { forwardTo } = await import('./forward.ts')
  return forwardTo(namespace, { label: ofControlPlane, port: Number(port) })
}
