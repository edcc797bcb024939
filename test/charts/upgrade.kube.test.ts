import { globSync } from 'node:fs'
import { join } from 'node:path'
import { createNamespace, type TestNamespace } from '@esteira/test/cluster'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { chartFolder, helm, type Said } from './support/helm.ts'

const folder = join(import.meta.dirname, 'before')
const values = join(folder, 'values.yaml')

let here: TestNamespace
let kubeconfig: string

beforeAll(async () => {
  here = await createNamespace()
  kubeconfig = await here.serviceAccount('installer', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
})

afterAll(() => here.drop())

const helmDoes = async (command: string, ...words: string[]): Promise<void> => {
  const said: Said = await helm([command, 'my', ...words, '--kubeconfig', kubeconfig, '--namespace', here.name])
  if (!said.ok) throw new Error(said.words)
}

const list = z.object({
  items: z.array(z.object({ kind: z.string(), metadata: z.object({ name: z.string(), uid: z.string() }) })),
})

const kinds = 'deployments,services,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets'

/** What there is of the release, with its uid. */
const objects = async (): Promise<Record<string, string>> => {
  const asked = ['get', kinds, '--selector', 'app.kubernetes.io/instance=my', '--output', 'json']
  const { items } = list.parse(JSON.parse(await here.kubectl(asked)))
  return Object.fromEntries(items.map(({ kind, metadata }) => [`${kind} ${metadata.name}`, metadata.uid]))
}

const deployments = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({ replicas: z.int(), selector: z.object({ matchLabels: z.record(z.string(), z.string()) }) }),
    }),
  ),
})

/** How many pods each Deployment asks for, and by what it knows them. */
const asked = async () => {
  const { items } = deployments.parse(JSON.parse(await here.kubectl(['get', 'deployments', '--output', 'json'])))
  return items.map(({ metadata: { name }, spec }) => ({ name, spec }))
}

test('a release of the chart before is upgraded with its values, keeps each of its objects, and is taken back', async () => {
  const [before = '', ...others] = globSync(join(folder, '*.tgz'))
  expect(others).toEqual([])
  await helmDoes('install', before, '--values', values)
  const [installed, pods] = [await objects(), await asked()]
  expect(Object.keys(installed).length).toBeGreaterThan(10)

  await helmDoes('upgrade', chartFolder('esteira'), '--values', values)
  // Nothing was deleted and made anew: not the Service, whose address others have, nor what all CronJobs hang on.
  expect(await objects()).toMatchObject(installed)
  expect(await asked()).toEqual(pods)

  await helmDoes('rollback', '1')
  expect(await objects()).toEqual(installed)
  expect(await asked()).toEqual(pods)

  // As somebody does who has lost his file.
  await helmDoes('upgrade', chartFolder('esteira'), '--reset-then-reuse-values')
  expect(await objects()).toMatchObject(installed)
  expect(await asked()).toEqual(pods)
}, 180_000)
