import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, type TestNamespace } from '../index.ts'
import { keepPods } from './kept-pods.ts'

const label = 'app=kept'

let namespace: TestNamespace
beforeAll(async () => {
  namespace = await createNamespace()
  // The one that is for pods without any is made where controllers are, and a moment later.
  await namespace.serviceAccount('kept', [])
})
afterAll(() => namespace.drop())

const makePod = (name: string, finalizers: readonly string[] = []) =>
  namespace.kubectl(['create', '--filename', '-'], {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'kept' }, finalizers },
    spec: {
      serviceAccountName: 'kept',
      automountServiceAccountToken: false,
      // A pod that is on no node goes as soon as it is told to, unless somebody keeps it.
      nodeSelector: { 'example.com/is': 'nowhere' },
      containers: [{ name: 'one', image: 'localhost/none:1' }],
    },
  })
const remove = (name: string) => namespace.kubectl(['delete', 'pod', name, '--wait=false'])
const left = async () =>
  (await namespace.kubectl(['get', 'pods', '--output', 'jsonpath={.items[*].metadata.name}'])).split(' ')

test('pods that are to stay are kept beside one that was told to end already', async () => {
  await makePod('ends', ['example.com/another'])
  await remove('ends')
  await makePod('stays')
  const pods = await keepPods(namespace, label)
  const names = async () => (await pods.read()).map(({ metadata }) => metadata.name)
  expect(await names()).toEqual(['stays'])
  await remove('stays')
  expect(await names()).toEqual(['stays'])
  await pods.letGo()
  expect(await left()).toEqual(['ends'])
})
