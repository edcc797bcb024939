import { createServer, type Socket } from 'node:net'
import { KubeConfig, PortForward } from '@kubernetes/client-node'
import type { TestNamespace } from '../api/namespace.ts'
import { holds, isToStay, listObjects, podShape } from './objects.ts'

/**
 * Leads connections to the port of a pod that is ready, as a Service does: each anew to one of those with the label. One
 * that is there ends with its pod.
 */
export const forwardTo = async (namespace: TestNamespace, { label, port }: { label: string; port: number }) => {
  const config = new KubeConfig()
  config.loadFromFile(namespace.kubeconfig)
  const forward = new PortForward(config)
  const clients = new Set<Socket>()
  const lead = async (client: Socket): Promise<void> => {
    const pods = await listObjects(namespace, podShape, 'pods', label)
    const pod = pods.find((one) => isToStay(one) && holds('Ready', one))
    if (pod === undefined) throw new Error(`no pod is ready: ${label}`)
    const link = await forward.portForward(namespace.name, pod.metadata.name, [port], client, null, client)
    // Without a count of retries it is one connection, and no way to the newest of several.
    if (typeof link === 'function') throw new Error('the connection is none')
    link.on('close', () => client.destroy())
    if (client.destroyed) link.close()
    else client.once('close', () => link.close())
  }
  const listener = createServer((client) => {
    clients.add(client)
    client.once('close', () => clients.delete(client))
    // A connection that breaks is the client's to hear of.
    client.on('error', () => client.destroy())
    lead(client).catch(() => client.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, '127.0.0.1', resolve)
  })
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      for (const client of clients) client.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
