import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ownsNode } from '../index.ts'
import { installKeda, metricsApi } from '../support/keda.ts'
import { keepPods } from '../support/kept-pods.ts'
import { expectEveryLeadOnce, strictLeads, strictTable, written } from '../support/leads.ts'
import { describePods, endings, isToStay, listObjects, podShape } from '../support/objects.ts'
import { ofWorker } from '../support/pods.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { waitInCluster } from '../support/wait-in-cluster.ts'

const leads = 600
const most = 3
/** How many of them a pod is for. */
const queueLength = 150
/** A worker has ten sessions: three pods write 30 leads a second, so that many are left when somebody has counted them. */
const rowMs = 1_000
/** Fewer than a worker takes from its queue at a time. */
const inHand = 10
const cooldownSeconds = 10
const workers = ['rd-station-get-leads', 'database-query'] as const

const scaledShape = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({ lastActiveTime: z.string().optional() }).default({}),
})

const kedaShape = z.object({
  status: z.object({
    containerStatuses: z.array(z.object({ state: z.object({ running: z.object({ startedAt: z.string() }) }) })),
  }),
})
const apiShape = z.object({ metadata: z.object({ creationTimestamp: z.string() }) })

describe.runIf(ownsNode())('workers that are scaled by their queues', () => {
  let release: TestRelease
  // KEDA is built in it where that was never done.
  beforeAll(async () => {
    await installKeda()
    const autoscaling = {
      enabled: true,
      minReplicas: 0,
      maxReplicas: most,
      queueLength,
      pollingInterval: 2,
      cooldownPeriod: cooldownSeconds,
    }
    const values = {
      rabbitmq: {
        secret: { name: 'esteira-rabbitmq' },
        management: { secret: { name: 'esteira-rabbitmq-management' } },
      },
      workerDefaults: { autoscaling },
    }
    release = await installRelease({ leads, crmSql: strictTable, values })
    // Their functions and queues are known, which that period is for.
    const patch = JSON.stringify({ spec: { initialCooldownPeriod: 0 } })
    for (const { metadata } of await scaledObjects())
      await release.namespace.kubectl(['patch', 'scaledobject', metadata.name, '--type', 'merge', '--patch', patch])
  }, 2_400_000)
  afterAll(() => release.remove())

  const scaledObjects = () => listObjects(release.namespace, scaledShape, 'scaledobjects')

  /** Those that are to stay. */
  const podsOf = async (worker: string): Promise<string[]> =>
    (await listObjects(release.namespace, podShape, 'pods', ofWorker(worker)))
      .filter(isToStay)
      .map(({ metadata }) => metadata.name)
  const describeScaling = async () => [
    await release.namespace.kubectl(['describe', 'scaledobjects,hpa']),
    await describePods(release.namespace),
  ]
  const hasPods = (worker: string, count: number): Promise<unknown> =>
    waitInCluster(async () => (await podsOf(worker)).length === count, {
      deadlineMs: 180_000,
      describe: describeScaling,
    })
  const isAtRest = () => Promise.all(workers.map((worker) => hasPods(worker, 0)))

  /** Looks at the pods of a worker until a run has written all; how many they were each time that it had not. */
  const countsWhileWriting = async (runId: string): Promise<number[]> => {
    const counts: number[] = []
    await waitInCluster(
      async () => {
        const { length } = await podsOf('database-query')
        // Asked last: what is not written now was not written then.
        if ((await written(release, runId)) === leads) return true
        counts.push(length)
        return false
      },
      { deadlineMs: 180_000, describe: describeScaling },
    )
    return counts
  }

  /**
   * Holds the work when it is too little for all of the pods, until some of them are taken: at their own pace the last leads
   * could be written before a busy machine has looked at the queue and waited as long as an autoscaler does.
   */
  const fewerAreTakenWhileThereIsWork = async (runId: string): Promise<void> => {
    const isTooLittle = async () => (await written(release, runId)) >= leads - (most - 1) * queueLength
    await waitInCluster(isTooLittle, { deadlineMs: 120_000, describe: describeScaling })
    const letWrite = await release.services.holdCrm('lock table lead in share mode')
    onTestFinished(letWrite)
    await waitInCluster(async () => (await podsOf('database-query')).length < most, {
      deadlineMs: 120_000,
      describe: describeScaling,
    })
    expect(await written(release, runId)).toBeLessThan(leads)
    await letWrite()
  }

  test('have an API of metrics that is known once KEDA runs: before, no namespace of another test would go', async () => {
    const { read } = release.namespace
    const { status } = kedaShape.parse(await read('/api/v1/namespaces/keda/pods/keda'))
    const { metadata } = apiShape.parse(await read(`/apis/apiregistration.k8s.io/v1/apiservices/${metricsApi}`))
    const startedMs = status.containerStatuses.map(({ state }) => Date.parse(state.running.startedAt))
    expect(startedMs).toHaveLength(2)
    expect(Date.parse(metadata.creationTimestamp)).toBeGreaterThanOrEqual(Math.max(...startedMs))
  })

  test('are at 0 without work, at several in a burst and at 0 again, and every lead is in the table once', async () => {
    const { api, namespace, services } = release
    const workflow = await api.createWorkflow(strictLeads('a burst', rowMs))
    await isAtRest()
    const { id } = await api.startRun(workflow)
    await hasPods('database-query', most)
    const pods = await keepPods(namespace, ofWorker('database-query'))
    onTestFinished(pods.letGo)
    const counting = countsWhileWriting(id)
    // Whoever waits for it below hears of that.
    counting.catch(() => undefined)
    await fewerAreTakenWhileThereIsWork(id)
    expect(Math.min(...(await counting))).toBeGreaterThan(0)
    await expectEveryLeadOnce(release, id, leads)
    await isAtRest()
    const codes = async () =>
      (await pods.read()).flatMap((pod) => endings(pod).map(({ name, exitCode }) => `${name} ${exitCode}`)).toSorted()
    const well = ['outbox-relay 0', 'worker 0'].flatMap((one) => Array.from({ length: most }, () => one))
    await waitInCluster(async () => isDeepStrictEqual(await codes(), well), { deadlineMs: 60_000, describe: codes })
    expect(await Promise.all(['RdStation.getLeads', 'Database.query'].map(services.broker.count))).toEqual([0, 0])
  })

  test('keep the last pod while it has jobs in hand, though none is in the queue any more', async () => {
    const { api, services } = release
    const [tick, , saveLead] = strictLeads('in hand', 0).steps
    const workflow = await api.createWorkflow({
      name: 'in hand',
      steps: [{ ...tick, nextStep: saveLead.name }, saveLead],
    })
    const letWrite = await services.holdCrm('lock table lead in share mode')
    onTestFinished(letWrite)
    const { id } = await api.startRun(workflow, { payload: Array.from({ length: inHand }, (_, uuid) => ({ uuid })) })
    // One transaction may be for several of them, so that who waits is no measure of how many there are.
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
    await waitInCluster(async () => (await services.crm(waiting)).length > 0, {
      deadlineMs: 120_000,
      describe: describeScaling,
    })
    await services.allPublished()
    await waitInCluster(async () => (await services.broker.count('Database.query')) === 0, {
      describe: describeScaling,
    })
    const pods = await podsOf('database-query')
    expect(pods).toHaveLength(1)
    // From its last look that found work KEDA counts the period after which it takes the last pod.
    const sinceMs = Date.now()
    await waitInCluster(
      async () => {
        const looked = (await scaledObjects()).find(({ metadata }) => metadata.name.endsWith('database-query'))
        const isGone = !isDeepStrictEqual(await podsOf('database-query'), pods)
        return isGone || Date.parse(looked?.status.lastActiveTime ?? '') > sinceMs + 2 * cooldownSeconds * 1_000
      },
      { deadlineMs: 120_000, describe: describeScaling },
    )
    expect(await podsOf('database-query')).toEqual(pods)
    await letWrite()
    expect(await api.runOver(id)).toMatchObject({
      status: 'succeeded',
      steps: [{ succeeded: 1 }, { succeeded: inHand }],
    })
    expect(await written(release, id)).toBe(inHand)
    await isAtRest()
  })
})
