import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/** How a client reaches an API server, and who it is there. */
export type Access = {
  server: string
  /** The certificate of whoever signed the server's, as text; undefined when the system's own are trusted. */
  authority: string | undefined
  token: string
  /** Where names without a namespace are. */
  namespace?: string
}

/** Writes a file that kubectl, helm and client libraries read. */
export const writeKubeconfig = (file: string, { server, authority, token, namespace = 'default' }: Access): string => {
  const name = 'tests'
  return write(file, {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: clusterAt(server, authority) }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    'current-context': name,
  })
}

const clusterShape = z.looseObject({ server: z.string(), 'certificate-authority-data': z.base64().optional() })
const fileShape = z.looseObject({
  clusters: z.tuple([z.looseObject({ name: z.string(), cluster: clusterShape })]),
  contexts: z.tuple([z.looseObject({ name: z.string(), context: z.looseObject({ cluster: z.string() }) })]),
  users: z.tuple([z.looseObject({ user: z.looseObject({ token: z.string().optional() }) })]),
})

/** Where a kubeconfig of one cluster leads; `authority` is undefined when the system's own are trusted. */
export const serverOf = (file: string): { server: string; authority: string | undefined } => {
  const { cluster } = read(file).clusters[0]
  const data = cluster['certificate-authority-data']
  return {
    server: cluster.server,
    authority: data === undefined ? undefined : Buffer.from(data, 'base64').toString('utf8'),
  }
}

/** The token of a kubeconfig; undefined when its user is known by something else. */
export const tokenOf = (file: string): string | undefined => read(file).users[0].user.token

/** Writes a kubeconfig with the users of another that leads to another address. */
export const leadElsewhere = (
  file: string,
  { from, server, authority }: { from: string; server: string; authority: string },
): string => {
  const before = read(from)
  const [{ name }] = before.clusters
  return write(file, { ...before, clusters: [{ name, cluster: clusterAt(server, authority) }] })
}

/** Writes a kubeconfig with another namespace where none is named. */
export const withNamespace = (file: string, from: string, namespace: string): string => {
  const before = read(from)
  const [{ name, context }] = before.contexts
  return write(file, { ...before, contexts: [{ name, context: { ...context, namespace } }] })
}

const clusterAt = (server: string, authority: string | undefined) => ({
  server,
  ...(authority === undefined ? {} : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }),
})

/** Files that were made here, or by `kubectl config view --raw --minify --flatten --output json`. */
const read = (file: string): z.infer<typeof fileShape> => fileShape.parse(JSON.parse(readFileSync(file, 'utf8')))

/** JSON is YAML. */
const write = (file: string, config: object): string => {
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  return file
}
