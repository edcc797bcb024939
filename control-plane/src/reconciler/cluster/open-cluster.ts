import type { RequestOptions } from 'node:https'
import { isDeepStrictEqual } from 'node:util'
import { reasonOf } from '@esteira/service'
import { Agent, type Dispatcher } from 'undici'
import { ControlPlaneError } from '../../errors.ts'
import { fieldManager } from '../labels.ts'

/** A request to the API server, whose credentials are added when it is sent. */
export type ClusterRequest = Pick<Dispatcher.RequestOptions, 'path' | 'method'> & {
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: string
}

/** The API server, for one namespace. */
export type Cluster = {
  namespace: string
  /** @throws what undici says when there is no answer, and the signal's reason. */
  send: (request: ClusterRequest, signal: AbortSignal) => Promise<Dispatcher.ResponseData>
  close: () => Promise<void>
}

export type ClusterOptions = {
  /** A kubeconfig; null takes the service account of the pod. */
  kubeconfig: string | null
  /** Null takes the service account's, or that of the kubeconfig's context. */
  namespace: string | null
}

/** As many changes are under way at once; the watch has a connection more. */
export const connections = 8

/** Longer than from one resync to the next, and shorter than the API server keeps a connection that says nothing. */
const keepAliveMs = 60_000

/**
 * Opens the way to the API server. The Kubernetes client is loaded here and nowhere else: it takes some 80 MiB, which a
 * control plane without a cluster is to be spared. It knows addresses, certificates and tokens, also those that change;
 * the requests go over connections of ours, since it opens new ones for each call (docs/decisions/0038).
 *
 * @throws ControlPlaneError `cluster_config_invalid` when there is nothing to open.
 */
export const openCluster = async ({ kubeconfig, namespace }: ClusterOptions): Promise<Cluster> => {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  const about = kubeconfig === null ? "the pod's service account" : `ESTEIRA_KUBECONFIG: ${kubeconfig}`
  try {
    if (kubeconfig === null) config.loadFromCluster()
    else config.loadFromFile(kubeconfig)
  } catch (cause) {
    throw new ControlPlaneError('cluster_config_invalid', `${about}: ${reasonOf(cause)}`, { cause })
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null || !URL.canParse(cluster.server)) {
    throw new ControlPlaneError('cluster_config_invalid', `${about} has no address of an API server`)
  }
  if (cluster.proxyUrl !== undefined) {
    throw new ControlPlaneError('cluster_config_invalid', `${about}: a proxy-url is not followed`)
  }
  const space = namespace ?? config.getContextObject(config.getCurrentContext())?.namespace?.trim()
  if (space === undefined || space === '') {
    throw new ControlPlaneError('cluster_config_invalid', `${about} has no namespace; set ESTEIRA_CRON_NAMESPACE`)
  }

  const { origin, pathname } = new URL(cluster.server)
  const prefix = pathname.replace(/\/$/, '')
  let secured: { tls: Tls; agent: Agent } | undefined
  /** New connections when the certificates are new ones; what is under way ends on the old ones. */
  const agentFor = (tls: Tls): Agent => {
    if (secured !== undefined && isDeepStrictEqual(secured.tls, tls)) return secured.agent
    void secured?.agent.close()
    const connect = { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 }
    secured = {
      tls,
      agent: new Agent({ connect, connections: connections + 1, keepAliveTimeout: keepAliveMs, allowH2: false }),
    }
    return secured.agent
  }

  return {
    namespace: space,
    send: async ({ path, headers, body, ...request }, signal) => {
      const options: RequestOptions = {}
      await config.applyToHTTPSOptions(options)
      return agentFor(tlsOf(options)).request({
        ...request,
        origin,
        path: prefix + path,
        headers: { ...textsOf(options.headers), 'user-agent': fieldManager, ...headers },
        body: body ?? null,
        signal,
        // Every call has a deadline of its own, and a watch may say nothing for long.
        headersTimeout: 0,
        bodyTimeout: 0,
      })
    },
    close: async () => {
      await secured?.agent.destroy()
    },
  }
}

type Tls = Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'>

const tlsOf = ({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized }: RequestOptions): Tls =>
  Object.fromEntries(
    Object.entries({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized }).filter(
      ([, value]) => value !== undefined,
    ),
  )

const textsOf = (headers: RequestOptions['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]))
