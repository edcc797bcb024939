import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createKubectl, type Kubectl } from './kubectl.ts'
import { serverOf, withNamespace, writeKubeconfig } from './kubeconfig.ts'
import { createReader, type Reader } from './reader.ts'

/** What a role allows, as RBAC has it. */
export type PolicyRule = {
  apiGroups: readonly string[]
  resources: readonly string[]
  verbs: readonly string[]
  resourceNames?: readonly string[]
}

/** A namespace of a test's own. */
export type TestNamespace = {
  name: string
  /** Of an administrator, with this namespace where none is named. */
  kubeconfig: string
  /** As the administrator, in this namespace. */
  kubectl: Kubectl
  /** As the administrator, at any path of the API server. */
  read: Reader
  /** Makes a service account that may do this here and nothing else; the file of its kubeconfig. */
  serviceAccount: (account: string, rules: readonly PolicyRule[]) => Promise<string>
  drop: () => Promise<void>
}

/** Makes a namespace by an administrator's kubeconfig. Files are put into the folder. */
export const makeNamespace = async (means: {
  kubectl: string
  kubeconfig: string
  folder: string
}): Promise<TestNamespace> => {
  const name = `test-${randomBytes(5).toString('hex')}`
  const kubeconfig = withNamespace(join(means.folder, `${name}.kubeconfig`), means.kubeconfig, name)
  const kubectl = createKubectl({ ...means, kubeconfig })
  await kubectl(['create', 'namespace', name])
  return {
    name,
    kubeconfig,
    kubectl,
    read: createReader(kubeconfig, kubectl),
    serviceAccount: async (account, rules) => {
      const metadata = { name: account, namespace: name }
      const api = 'rbac.authorization.k8s.io'
      const role = { apiVersion: `${api}/v1`, kind: 'Role', metadata, rules }
      const binding = {
        apiVersion: `${api}/v1`,
        kind: 'RoleBinding',
        metadata,
        roleRef: { apiGroup: api, kind: 'Role', name: account },
        subjects: [{ kind: 'ServiceAccount', name: account, namespace: name }],
      }
      const items = [{ apiVersion: 'v1', kind: 'ServiceAccount', metadata }, role, binding]
      await kubectl(['create', '--filename', '-'], { apiVersion: 'v1', kind: 'List', items })
      const token = (await kubectl(['create', 'token', account, '--duration', '24h'])).trim()
      const { server, authority } = serverOf(kubeconfig)
      const file = join(means.folder, `${name}-${account}.kubeconfig`)
      return writeKubeconfig(file, { server, authority, token, namespace: name })
    },
    // Where no controller runs it stays, and takes nothing new.
    drop: async () => {
      await kubectl(['delete', 'namespace', name, '--wait=false'])
    },
  }
}
