import { createVhost, emptyDatabase, openBroker, runOn, startProxy } from '@esteira/test/support'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { withRelease } from '../../charts/support/helm.ts'
import { createNamespace, machineAddress, runsReleases } from '../index.ts'
import { bringImages, imageValues } from '../support/images.ts'
import { describePods, endings, jobShape, listObjects } from '../support/objects.ts'
import { completed, tickByHand } from '../support/ticks.ts'
import { waitInCluster } from '../support/wait-in-cluster.ts'

/** Helm takes a dot and a digit in the name of a release, and names of pods and of lanes have them then. */
const name = '2nd.shop'
const prefix = '2nd-shop'
/** Of each pod of the Deployment and of the StatefulSet. */
const orders = 10
const standing = 3

const ids = (rows: unknown): number[] =>
  z
    .array(z.object({ id: z.number() }))
    .parse(rows)
    .map(({ id }) => id)
const payload = z.object({ orderId: z.number() })

describe.runIf(runsReleases())('somebody else’s chart with the relay beside each of its containers', () => {
  test('is installed and upgraded, its Jobs complete, and every order that it writes is carried', async () => {
    await bringImages()
    const [database, vhost] = await Promise.all([emptyDatabase(), createVhost()])
    const ways = {
      database: await startProxy(database.url, { host: machineAddress() }),
      rabbitmq: await startProxy(vhost.url, { host: machineAddress() }),
    }
    const broker = await openBroker(vhost.url)
    const namespace = await createNamespace()
    onTestFinished(async () => {
      await namespace.drop()
      await Promise.all([...Object.values(ways).map((way) => way.stop()), broker.close()])
      await Promise.all([database.drop(), vhost.drop()])
    }, 180_000)
    await broker.declareQueue('orders')
    for (const [secret, { url }] of [
      ['shop-database', ways.database],
      ['shop-rabbitmq', ways.rabbitmq],
    ] as const) {
      await namespace.kubectl(['create', 'secret', 'generic', secret, `--from-literal=uri=${url}`])
    }
    const installer = await namespace.serviceAccount('installer', [
      { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    ])
    const { repository, tag, pullPolicy } = imageValues()
    const image = { repository: `${repository}-relay`, tag, pullPolicy }
    const bring = async (command: string, relay: object) => {
      const said = await withRelease([command, '--kubeconfig', installer], {
        chart: 'examples/shop',
        name,
        namespace: namespace.name,
        values: {
          image: `${repository}:${tag}`,
          imagePullPolicy: pullPolicy,
          orders,
          pauseMs: 1,
          'outbox-relay': { image, ...relay },
        },
      })
      if (!said.ok) throw new Error(`${said.words}\n${await describePods(namespace)}`)
    }
    const expectCompleted = async (job: string) =>
      expect(endings(await completed({ namespace }, job))).toEqual([
        { name: 'outbox-relay', exitCode: 0, restarts: 0 },
        { name: 'shop', exitCode: 0, restarts: 0 },
      ])

    /** Its name says what it runs. */
    const firstOrders = async () => {
      const jobs = await listObjects(namespace, jobShape, 'jobs')
      return jobs.map((job) => job.metadata.name).filter((job) => job.startsWith(`${prefix}-first-order-`))
    }

    const carriedAre = (count: number) =>
      waitInCluster(async () => (await broker.count('orders')) === count, {
        deadlineMs: 120_000,
        describe: () => describePods(namespace),
      })

    await bring('install', {})
    await tickByHand({ namespace }, `${prefix}-report`, 'report-by-hand')
    const [first = expect.fail()] = await firstOrders()
    await Promise.all([expectCompleted(first), expectCompleted('report-by-hand')])
    await carriedAre(standing * orders + 2)
    // Another relay is another pod, for the Job as well.
    await bring('upgrade', { logLevel: 'debug' })
    const second = (await firstOrders()).find((job) => job !== first)
    await expectCompleted(second ?? expect.fail())
    await carriedAre(2 * (standing * orders + 1) + 1)

    const carried = (await broker.takeAll('orders')).map((message) => payload.parse(message.payload).orderId)
    const written = ids(await runOn(database.url, 'select id from shop_order'))
    expect(carried.toSorted((a, b) => a - b)).toEqual(written.toSorted((a, b) => a - b))
  }, 600_000)
})
