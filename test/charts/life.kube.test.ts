import { createNamespace, type TestNamespace } from '@esteira/test/cluster'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { helm, type Release, type Said, withRelease } from './support/helm.ts'
import { least, render, valuesFile } from './support/render.ts'

let here: TestNamespace
let kubeconfig: string

beforeAll(async () => {
  here = await createNamespace()
  // All that somebody can have who has nothing in the cluster as a whole.
  kubeconfig = await here.serviceAccount('installer', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
})

afterAll(() => here.drop())

const expectDone = (said: Said): void => {
  if (!said.ok) throw new Error(said.words)
}

/** Does something with the release `my`. */
const helmDoes = async (command: string, ...words: string[]): Promise<void> =>
  expectDone(await helm([command, 'my', ...words, '--kubeconfig', kubeconfig, '--namespace', here.name]))

const helmBrings = async (command: 'install' | 'upgrade', release: Release): Promise<void> =>
  expectDone(await withRelease([command, '--kubeconfig', kubeconfig], { name: 'my', namespace: here.name, ...release }))

const list = z.object({
  items: z.array(z.object({ kind: z.string(), metadata: z.object({ name: z.string(), uid: z.string() }) })),
})

const kinds = 'deployments,services,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets'

/** What there is of the release, with its uid. */
const objects = async (): Promise<Map<string, string>> => {
  const asked = ['get', kinds, '--selector', 'app.kubernetes.io/instance=my', '--output', 'json']
  const { items } = list.parse(JSON.parse(await here.kubectl(asked)))
  return new Map(items.map(({ kind, metadata }) => [`${kind} ${metadata.name}`, metadata.uid]))
}

const rendered = async (release: Release): Promise<string[]> =>
  (await render({ ...release, namespace: here.name }))
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    .toSorted()

const first: Release = { files: [least], values: { workers: { 'database-query': {} } } }
const second: Release = {
  files: [least, valuesFile('own-functions')],
  values: {
    logLevel: 'debug',
    commonLabels: { team: 'leads' },
    controlPlane: { replicas: 2 },
    cron: { resources: {} },
  },
}

test('with rights in one namespace alone a release is installed, changed, taken back and removed', async () => {
  await helmBrings('install', first)
  const installed = await objects()
  expect([...installed.keys()].toSorted()).toEqual(await rendered(first))

  await helmBrings('upgrade', second)
  const upgraded = await objects()
  expect([...upgraded.keys()].toSorted()).toEqual(await rendered(second))

  // Every CronJob hangs on it: with another uid all of them would be collected.
  const anchor = 'ConfigMap my-esteira-anchor'
  expect(installed.get(anchor)).toBeDefined()
  expect(upgraded.get(anchor)).toBe(installed.get(anchor))

  await helmDoes('rollback', '1')
  const back = await objects()
  expect([...back.keys()].toSorted()).toEqual(await rendered(first))
  expect(back.get(anchor)).toBe(installed.get(anchor))

  await helmDoes('uninstall')
  expect([...(await objects()).keys()]).toEqual([])
}, 180_000)

test('without the right to make a Role all but that is installed, as the values say', async () => {
  const named = ['deployments', 'services', 'configmaps', 'serviceaccounts', 'networkpolicies', 'poddisruptionbudgets']
  // The Secrets are those in which helm keeps a release.
  const groups = ['', 'apps', 'networking.k8s.io', 'policy']
  const editor = await here.serviceAccount('editor', [
    { apiGroups: groups, resources: [...named, 'secrets'], verbs: ['*'] },
  ])
  const bring = (name: string, values: object) =>
    withRelease(['install', '--kubeconfig', editor], {
      name,
      namespace: here.name,
      files: [least],
      values,
    })
  const refused = await bring('refused', {})
  expect(refused.ok ? '' : refused.words).toContain('roles.rbac.authorization.k8s.io')
  expectDone(await bring('plain', { controlPlane: { rbac: { create: false } } }))
}, 180_000)
