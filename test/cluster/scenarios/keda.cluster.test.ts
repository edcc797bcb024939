import { isDeepStrictEqual } from 'node:util'
import { waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ownsNode } from '../index.ts'
import { installKeda } from '../support/keda.ts'
import { keepPods } from '../support/kept-pods.ts'
import { expectEveryLeadOnce, strictLeads, strictTable, written } from '../support/leads.ts'
import { describePods, endings, listObjects, type Pod, podShape } from '../support/objects.ts'
import { ofWorker } from '../support/pods.ts'
import { installRelease, type TestRelease } from '../support/release.ts'

const leads = 600
const most = 3
/** A worker has ten sessions: three pods write 15 leads a second, so the burst lasts longer than the autoscaler waits. */
const rowMs = 2_000
const workers = ['rd-station-get-leads', 'database-query'] as const

describe.runIf(ownsNode())('workers that are scaled by their queues', () => {
  let release: TestRelease
  // KEDA is built in it where that was never done.
  beforeAll(async () => {
    await installKeda()
    const autoscaling = {
      enabled: true,
      minReplicas: 0,
      maxReplicas: most,
      queueLength: 150,
      pollingInterval: 2,
      cooldownPeriod: 10,
      // In it they make their functions and queues known.
      initialCooldownPeriod: 60,
    }
    const values = {
      rabbitmq: {
        secret: { name: 'esteira-rabbitmq' },
        management: { secret: { name: 'esteira-rabbitmq-management' } },
      },
      workerDefaults: { autoscaling },
    }
    release = await installRelease({ leads, crmSql: strictTable, values })
  }, 2_400_000)
  afterAll(() => release.remove())

  /** Of those that are to stay. */
  const countOf = async (worker: string): Promise<number> =>
    (await listObjects(release.namespace, podShape, 'pods', ofWorker(worker))).filter(isToStay).length
  const hasPods = (worker: string, count: number): Promise<unknown> =>
    waitFor(async () => (await countOf(worker)) === count, {
      deadlineMs: 180_000,
      describe: async () => [
        await release.namespace.kubectl(['describe', 'scaledobjects,hpa']),
        await describePods(release.namespace),
      ],
    })
  const isAtRest = () => Promise.all(workers.map((worker) => hasPods(worker, 0)))

  test('are at 0 without work, at several in a burst and at 0 again, and every lead is in the table once', async () => {
    const { api, namespace, services } = release
    const workflow = await api.createWorkflow(strictLeads('a burst', rowMs))
    await isAtRest()
    const { id } = await api.startRun(workflow)
    await hasPods('database-query', most)
    const pods = await keepPods(namespace, ofWorker('database-query'))
    onTestFinished(pods.letGo)
    await hasPods('database-query', most - 1)
    // So it was taken while there was work.
    expect(await written(release, id)).toBeLessThan(leads)
    await expectEveryLeadOnce(release, id, leads)
    await isAtRest()
    const codes = async () =>
      (await pods.read()).flatMap((pod) => endings(pod).map(({ name, exitCode }) => `${name} ${exitCode}`)).toSorted()
    const well = ['outbox-relay 0', 'worker 0'].flatMap((one) => Array.from({ length: most }, () => one))
    await waitFor(async () => isDeepStrictEqual(await codes(), well), { deadlineMs: 60_000, describe: codes })
    expect(await Promise.all(['RdStation.getLeads', 'Database.query'].map(services.broker.count))).toEqual([0, 0])
  })
})

const isToStay = ({ metadata }: Pod): boolean => metadata.deletionTimestamp === undefined
