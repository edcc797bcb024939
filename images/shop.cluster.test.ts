import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Broker,
  createVhost,
  emptyDatabase,
  freePort,
  openBroker,
  runOn,
  type TestDatabase,
  type TestVhost,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { type Container as ContainerOfPod, type Pod, podsOf } from '../test/charts/support/manifests.ts'
import { render } from '../test/charts/support/render.ts'
import { type Container, startContainer } from './test/container.ts'
import { images, programOf, useImages } from './test/use-images.ts'

useImages()

let database: TestDatabase
let vhost: TestVhost
let broker: Broker
let port: number
let pods: Pod[]
/** The folder that the ConfigMap of the chart is mounted as. */
let program: string

const orders = 20

beforeAll(async () => {
  ;[database, vhost, port] = await Promise.all([emptyDatabase(), createVhost(), freePort()])
  broker = await openBroker(vhost.url)
  await broker.declareQueue('orders')
  // All pods have the network of this machine, so one at a time has the port.
  const values = { orders, pauseMs: 1, 'outbox-relay': { health: { port } } }
  const manifests = await render({ chart: 'examples/shop', values })
  pods = podsOf(manifests)
  const [source] = manifests.flatMap((object) => withSource.safeParse(object).data?.data['main.ts'] ?? [])
  program = mkdtempSync(join(tmpdir(), 'esteira-shop-'))
  chmodSync(program, 0o755)
  writeFileSync(join(program, 'main.ts'), source ?? '')
})
afterAll(async () => {
  rmSync(program, { recursive: true })
  await broker.close()
  await Promise.all([database.drop(), vhost.drop()])
})

const withSource = z.object({ data: z.object({ 'main.ts': z.string() }) })

/** What the kubelet gives a container of a pod, with the Secrets that the chart's values name. */
const environmentOf = ({ env }: ContainerOfPod, pod: string): Record<string, string> => {
  const secrets: Record<string, string> = { 'shop-database uri': database.url, 'shop-rabbitmq uri': vhost.url }
  const fields: Record<string, string> = { 'metadata.name': pod }
  return Object.fromEntries(
    env.map(({ name, value, valueFrom }) => {
      const secret = valueFrom?.secretKeyRef && secrets[`${valueFrom.secretKeyRef.name} ${valueFrom.secretKeyRef.key}`]
      const given = value ?? secret ?? fields[valueFrom?.fieldRef?.fieldPath ?? '']
      if (given === undefined) throw new Error(`nothing is known of ${name}`)
      return [name, given]
    }),
  )
}

const userOf = ({ securityContext }: ContainerOfPod): number =>
  z.object({ runAsUser: z.int().positive(), readOnlyRootFilesystem: z.literal(true) }).parse(securityContext).runAsUser

/** Begins a pod as the kubelet does: the sidecar first, and the container when the sidecar has answered. */
const startPod = async ({ main, relay, owner }: Pod): Promise<{ main: Container; relay: Container; pod: string }> => {
  const runc = programOf('runc')
  const pod = `${owner.toLowerCase().replaceAll(' ', '-')}-0`
  const sidecar = startContainer({
    runc,
    image: images.relay,
    env: environmentOf(relay, pod),
    uid: userOf(relay),
    ...(relay.args.length > 0 && { args: relay.args }),
  })
  const asks = `http://127.0.0.1:${port}${relay.startupProbe?.httpGet.path}`
  const answers = () =>
    fetch(asks).then(
      ({ status }) => status === 200,
      () => false,
    )
  await waitFor(answers, { deadlineMs: 60_000, describe: () => said(sidecar) })
  const mounts = main.volumeMounts.map(({ mountPath }) => ({ from: program, to: mountPath }))
  const env = environmentOf(main, pod)
  const container = startContainer({ runc, image: images.esteira, args: main.args, env, uid: userOf(main), mounts })
  return { main: container, relay: sidecar, pod }
}

const said = ({ lines, faults }: Container): string =>
  [...faults, ...lines.map((line) => JSON.stringify(line))].join('\n')

const wrote = (pod: string) => runOn(database.url, `select id as "orderId" from shop_order where pod = '${pod}'`)

const payloads = async () => (await broker.takeAll('orders')).map(({ payload }) => payload)

const podOf = (owner: string): Pod =>
  pods.find((one) => one.owner.startsWith(owner)) ?? expect.fail(`there is no ${owner}`)

test.each(['Deployment my-shop', 'StatefulSet my-till'])(
  'the relay beside the %s carries its orders while it stays, and ends after it',
  async (owner) => {
    const { main, relay, pod } = await startPod(podOf(owner))
    const stays = () => main.lines.some((line) => line['said'] === `${orders} orders are written`)
    await waitFor(stays, { deadlineMs: 60_000, describe: () => said(main) })
    await waitFor(async () => (await broker.count('orders')) === orders, {
      deadlineMs: 60_000,
      describe: () => said(relay),
    })
    expect(await payloads()).toEqual(await wrote(pod))
    main.child.kill('SIGTERM')
    expect(await main.exited, said(main)).toBe(0)
    relay.child.kill('SIGTERM')
    expect(await relay.exited, said(relay)).toBe(0)
    expect(relay.faults).toEqual([])
  },
  180_000,
)

test.each([
  ['Job my-first-order', null],
  ['CronJob my-report', 'my-report'],
])(
  'the relay beside the %s ends after it, with its lane empty',
  async (owner, lane) => {
    const { main, relay, pod } = await startPod(podOf(owner))
    expect(await main.exited, said(main)).toBe(0)
    relay.child.kill('SIGTERM')
    expect(await relay.exited, said(relay)).toBe(0)
    const written = await wrote(lane ?? pod)
    expect(await payloads()).toEqual(written)
    expect(written).toHaveLength(1)
    expect(await runOn(database.url, 'select from outbox_message')).toEqual([])
  },
  180_000,
)

test('a relay that RabbitMQ is away from leaves the orders, and that of the next pod carries them', async () => {
  await broker.close()
  const job = podOf('Job my-first-order')
  const nowhere = { ...job, relay: withVariable(job.relay, 'RABBITMQ_URL', 'amqp://127.0.0.1:9') }
  const { main, relay } = await startPod({ ...nowhere, owner: 'Job without-broker' })
  expect(await main.exited, said(main)).toBe(0)
  relay.child.kill('SIGTERM')
  expect(await relay.exited, said(relay)).toBe(0)
  broker = await openBroker(vhost.url)
  expect(await payloads()).toEqual([])
  const next = await startPod({ ...job, owner: 'Job next' })
  await once(next.main.child, 'close')
  await waitFor(async () => (await broker.count('orders')) === 2, {
    deadlineMs: 60_000,
    describe: () => said(next.relay),
  })
  next.relay.child.kill('SIGTERM')
  expect(await next.relay.exited).toBe(0)
  expect((await payloads()).length).toBe(2)
}, 180_000)

const withVariable = (container: ContainerOfPod, name: string, value: string): ContainerOfPod => ({
  ...container,
  env: container.env.map((variable) => (variable.name === name ? { name, value } : variable)),
})
