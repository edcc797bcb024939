import { waitFor } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  createNamespace,
  refusal,
  tamperWith,
  watchOf,
  type SeenRequest,
  type TamperingProxy,
  type TestNamespace,
} from '../index.ts'
import { listShape, openRawClient, type RawClient, type Watch } from './raw-client.ts'

let namespace: TestNamespace
let proxy: TamperingProxy
let client: RawClient
let configMaps: string

beforeAll(async () => {
  namespace = await createNamespace()
  configMaps = `/api/v1/namespaces/${namespace.name}/configmaps`
})
afterAll(() => namespace.drop())

beforeEach(async () => {
  proxy = await tamperWith(namespace.kubeconfig)
  client = openRawClient(proxy.kubeconfig)
})
afterEach(async () => {
  client.close()
  await proxy.stop()
})

let count = 0
/** Makes a ConfigMap, not by way of the proxy; its name. */
const change = async (): Promise<string> => {
  count += 1
  const name = `map-${count}`
  await namespace.kubectl(['create', 'configmap', name])
  return name
}

/** A watch from now on. */
const watch = async (): Promise<Watch> => {
  const { body } = await client.ask('GET', `${configMaps}?limit=1`)
  const { metadata } = listShape.parse(body)
  return client.watch(`${configMaps}?watch=true&resourceVersion=${metadata.resourceVersion}`)
}

const namesIn = ({ events }: Watch): unknown[] => events.map(({ name }) => name)

const isList = ({ method, path, isWatch }: SeenRequest): boolean => method === 'GET' && path === configMaps && !isWatch

test('without trouble everything passes, and is told', async () => {
  const seen = await watch()
  const name = await change()
  await waitFor(() => namesIn(seen).includes(name), { describe: () => seen.events })
  expect((await client.ask('GET', `${configMaps}/${name}`)).status).toBe(200)
  expect(proxy.requests().map(({ method, path, isWatch }) => [method, path, isWatch])).toEqual([
    ['GET', configMaps, false],
    ['GET', configMaps, true],
    ['GET', `${configMaps}/${name}`, false],
  ])
  expect(proxy.watches()).toBe(1)
  seen.stop()
  await waitFor(() => proxy.watches() === 0)
})

test('a watch that hangs is open and says nothing, until it is let go', async () => {
  const [before, other] = [await watch(), await watch()]
  const hung = proxy.make({ kind: 'hang' }, watchOf('configmaps'), 1)
  const name = await change()
  await waitFor(() => namesIn(other).includes(name))
  // What the other one was told, this one was sent as well.
  expect([hung.met(), before.events, proxy.watches()]).toEqual([1, [], 2])
  expect((await client.ask('GET', configMaps)).status).toBe(200)
  hung.lift()
  await waitFor(() => namesIn(before).includes(name))
})

test('a new request hangs as well, and only as many as it is for', async () => {
  const hung = proxy.make({ kind: 'hang' }, isList, 1)
  const answers: string[] = []
  const first = client.ask('GET', configMaps).then(() => answers.push('first'))
  await waitFor(() => hung.met() === 1)
  await client.ask('GET', configMaps).then(() => answers.push('second'))
  expect(answers).toEqual(['second'])
  hung.lift()
  await first
  expect(answers).toEqual(['second', 'first'])
})

test('a watch that is cut ends, and the next one is not', async () => {
  const cut = await watch()
  proxy.make({ kind: 'cut' }, watchOf('configmaps'), 1)
  await cut.closed
  const next = await watch()
  const name = await change()
  await waitFor(() => namesIn(next).includes(name))
})

test('a refusal is said in the words of an API server, as often as it is asked for', async () => {
  const refused = proxy.make(refusal(429, 'TooManyRequests', 'later, please', 3), isList, 2)
  const answers = [
    await client.ask('GET', configMaps),
    await client.ask('GET', configMaps),
    await client.ask('GET', configMaps),
  ]
  expect(answers.map(({ status, retryAfter }) => [status, retryAfter])).toEqual([
    [429, '3'],
    [429, '3'],
    [200, undefined],
  ])
  expect(answers[0]?.body).toMatchObject({ kind: 'Status', reason: 'TooManyRequests', code: 429 })
  expect(refused.met()).toBe(2)
})

test('of several troubles the latest counts, and the ones before it once it is gone', async () => {
  proxy.make(refusal(500, 'InternalError', 'etcdserver: request timed out'), isList)
  const conflict = proxy.make(refusal(409, 'Conflict', 'the object has been modified'), isList)
  expect((await client.ask('GET', configMaps)).status).toBe(409)
  conflict.lift()
  expect((await client.ask('GET', configMaps)).status).toBe(500)
})

test('an answer that is lost was carried out', async () => {
  proxy.make({ kind: 'lose' }, ({ method }) => method === 'POST')
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'lost' } }
  await expect(client.ask('POST', configMaps, map)).rejects.toThrow(/socket hang up|ECONNRESET/)
  expect((await client.ask('GET', `${configMaps}/lost`)).status).toBe(200)
})

test('what is cut before it was handed on was not carried out', async () => {
  proxy.make({ kind: 'cut' }, ({ method }) => method === 'POST')
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cut' } }
  await expect(client.ask('POST', configMaps, map)).rejects.toThrow(/socket hang up|ECONNRESET/)
  expect((await client.ask('GET', `${configMaps}/cut`)).status).toBe(404)
})

test('a list comes late, and another in small pieces, and both are whole', async () => {
  const name = await change()
  proxy.make({ kind: 'delay', ms: 300 }, isList, 1)
  const before = performance.now()
  const late = await client.ask('GET', configMaps)
  expect(performance.now() - before).toBeGreaterThanOrEqual(299)
  const slow = proxy.make({ kind: 'trickle', bytes: 100, pauseMs: 1 }, isList)
  const pieces = await client.ask('GET', configMaps)
  expect([slow.met(), pieces.status]).toEqual([1, 200])
  expect(pieces.body).toEqual(late.body)
  expect(JSON.stringify(late.body)).toContain(name)
})

test('an API server that is away refuses connections, and is at the same address when it is back', async () => {
  const broken = await watch()
  await proxy.leave()
  await broken.closed
  await expect(client.ask('GET', configMaps)).rejects.toThrow('ECONNREFUSED')
  await proxy.comeBack()
  expect((await client.ask('GET', configMaps)).status).toBe(200)
})
