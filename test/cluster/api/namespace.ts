import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { waitFor } from '@esteira/test/support'
import { z } from 'zod'
import { type Ask, createAsk } from './ask.ts'
import { createKubectl, type Kubectl } from './kubectl.ts'
import { serverOf, withNamespace, writeKubeconfig } from './kubeconfig.ts'

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
  /** As the administrator, at any path of the API server; `read` is to get what is there. */
  ask: Ask
  read: (path: string) => Promise<unknown>
  /** Makes a service account that may do this here, from now on, and nothing else; the file of its kubeconfig. */
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
  const ask = createAsk(kubeconfig, kubectl)
  const here = `/api/v1/namespaces/${name}`
  await ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  return {
    name,
    kubeconfig,
    kubectl,
    ask,
    read: (path) => ask('GET', path),
    serviceAccount: async (account, rules) => {
      const metadata = { name: account, namespace: name }
      const rbac = 'rbac.authorization.k8s.io'
      const ofRbac = { apiVersion: `${rbac}/v1`, metadata }
      const roles = `/apis/${rbac}/v1/namespaces/${name}`
      const accounts = `${here}/serviceaccounts`
      await ask('POST', accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata })
      await ask('POST', `${roles}/roles`, { ...ofRbac, kind: 'Role', rules })
      await ask('POST', `${roles}/rolebindings`, {
        ...ofRbac,
        kind: 'RoleBinding',
        roleRef: { apiGroup: rbac, kind: 'Role', name: account },
        subjects: [{ kind: 'ServiceAccount', name: account, namespace: name }],
      })
      const [rule] = rules
      if (rule !== undefined) await hasRights(ask, name, account, rule)
      const { status } = tokenShape.parse(await ask('POST', `${accounts}/${account}/token`, aDayLong))
      const { server, authority } = serverOf(kubeconfig)
      const file = join(means.folder, `${name}-${account}.kubeconfig`)
      return writeKubeconfig(file, { server, authority, token: status.token, namespace: name })
    },
    // Where no controller runs it stays, and takes nothing new.
    drop: async () => {
      await ask('DELETE', here)
    },
  }
}

/**
 * Waits until the API server knows what it was told: it hears of roles and bindings by watches of its own, some milliseconds
 * after it has answered for them, and until then refuses with 403. One binding brings all rules, so that one is enough.
 */
const hasRights = async (ask: Ask, namespace: string, account: string, rule: PolicyRule): Promise<void> => {
  const [group] = rule.apiGroups
  const [verb] = rule.verbs
  const [resource, subresource] = rule.resources[0]?.split('/') ?? []
  const resourceAttributes = { namespace, group, verb, resource, subresource, name: rule.resourceNames?.[0] }
  const api = 'authorization.k8s.io/v1'
  const review = {
    apiVersion: api,
    kind: 'LocalSubjectAccessReview',
    metadata: { namespace },
    spec: { user: `system:serviceaccount:${namespace}:${account}`, resourceAttributes },
  }
  const path = `/apis/${api}/namespaces/${namespace}/localsubjectaccessreviews`
  await waitFor(async () => reviewShape.parse(await ask('POST', path, review)).status.allowed, {
    describe: () => resourceAttributes,
  })
}

const reviewShape = z.object({ status: z.object({ allowed: z.boolean() }) })

const aDayLong = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 86_400 } }

const tokenShape = z.object({ status: z.object({ token: z.string() }) })
