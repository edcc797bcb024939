import { isIP } from 'node:net'

/**
 * The environment without what Kubernetes writes into it of the Services beside a pod, in the names that Docker's links had:
 * `ESTEIRA_HTTP_PORT=tcp://10.0.0.7:8080` is of a Service named `esteira-http`. Nobody set these, so they are no settings, and
 * no misspelt ones. What a pod sets by itself under such a name stays; Kubernetes then leaves its own out.
 */
export const withoutServiceLinks = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const services = new Set(Object.entries(env).flatMap(([name, value]) => serviceOf(name, value)))
  if (services.size === 0) return env
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => !isLink(services, name, value)))
}

const host = '_SERVICE_HOST'

/** Each Service that is told of has a host, which is an address: without it there is no Service of that name. */
const serviceOf = (name: string, value = ''): string[] =>
  name.endsWith(host) && isIP(value) !== 0 ? [name.slice(0, -host.length)] : []

const isLink = (services: ReadonlySet<string>, name: string, value = ''): boolean => {
  for (let end = name.indexOf('_'); end !== -1; end = name.indexOf('_', end + 1)) {
    if (services.has(name.slice(0, end)) && tells(name.slice(end), value)) return true
  }
  return false
}

/** Whether a name ends as those of a Service do, with what Kubernetes has there. */
const tells = (end: string, value: string): boolean =>
  ends.some(([name, fits]) => name.test(end) && (fits === 'address' ? isIP(value) !== 0 : fits.test(value)))

const port = /^\d{1,5}$/
const url = /^(tcp|udp|sctp):\/\/.+:\d{1,5}$/

/** `envvars.go` of the kubelet makes no others: https://github.com/kubernetes/kubernetes/tree/v1.34.4/pkg/kubelet/envvars */
const ends: readonly (readonly [name: RegExp, fits: RegExp | 'address'])[] = [
  [/^_SERVICE_HOST$/, 'address'],
  // Named ports have the name of the port behind.
  [/^_SERVICE_PORT(_\w+)?$/, port],
  [/^_PORT(_\d+_(TCP|UDP|SCTP))?$/, url],
  [/^_PORT_\d+_(TCP|UDP|SCTP)_PROTO$/, /^(tcp|udp|sctp)$/],
  [/^_PORT_\d+_(TCP|UDP|SCTP)_PORT$/, port],
  [/^_PORT_\d+_(TCP|UDP|SCTP)_ADDR$/, 'address'],
]
