import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { killKubelet, ownsNode } from '../index.ts'
import { expectEveryLeadOnce, strictLeads, strictTable, written } from '../support/leads.ts'
import { containersOf, describePods, type Pod } from '../support/objects.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { killIn, ofControlPlane, ofWorker, readyPod, startedAgain } from '../support/pods.ts'
import { completedAtLast, cronJobOf, podsOfTick, stepIdOf, tickByHand } from '../support/ticks.ts'
import { waitInCluster } from '../support/wait-in-cluster.ts'

const leads = 1_000
/** Of each row that is written: a run takes some seconds, so that what is killed has work in hand. */
const rowMs = 20

const runs = (pod: Pod, container: string): boolean =>
  containersOf(pod).some(({ name, state }) => name === container && state.running !== undefined)

/** How the program of a tick's pod ended. */
const exitsOf = (pod: Pod): string => {
  const program = containersOf(pod).find(({ name }) => name === 'cron-job')
  return `cron-job ${program?.state.terminated?.exitCode}`
}

describe.runIf(ownsNode())('every lead is in the table once', () => {
  let release: TestRelease
  beforeAll(async () => {
    release = await installRelease({ leads, crmSql: strictTable })
  }, 600_000)
  afterAll(() => release.remove())

  const begin = async (name: string): Promise<string> => {
    const workflow = await release.api.createWorkflow(strictLeads(name, rowMs))
    return (await release.api.startRun(workflow)).id
  }

  const someAreWritten = async (runId: string): Promise<void> => {
    await waitInCluster(() => written(release, runId), {
      deadlineMs: 60_000,
      describe: () => describePods(release.namespace),
    })
  }

  /** Else the strike would have been one after the end. */
  const othersAreNot = async (runId: string): Promise<void> => expect(await written(release, runId)).toBeLessThan(leads)

  /** How many rows are in the outbox in the lane of a pod. */
  const rowsOf = async ({ metadata }: Pod): Promise<number> => {
    const rows = await release.services.sql(
      `select count(*)::int as rows from outbox_message join outbox_lane on outbox_lane.id = lane
       where name = '${metadata.name}'`,
    )
    return z.tuple([z.object({ rows: z.int() })]).parse(rows)[0].rows
  }

  /**
   * Begins a run and has the relay of a pod publish its leads and hear of no confirm: all of them are in the outbox,
   * and RabbitMQ has messages as well.
   */
  const publishUnconfirmed = async (name: string, pod: Pod): Promise<string> => {
    const { services } = release
    const { rdStation, rabbitmq } = services.ways
    const answered = () => JSON.stringify(services.rdStation.control.state().requests)
    const before = answered()
    rdStation.pause()
    const runId = await begin(name)
    // Then a worker has the job, and waits for an answer.
    await waitInCluster(() => answered() !== before, { deadlineMs: 30_000, describe: 'a call of RD Station' })
    rabbitmq.pause()
    rdStation.resume()
    await waitInCluster(async () => (await rowsOf(pod)) >= leads, {
      deadlineMs: 30_000,
      describe: () => services.sql('select lane, count(*)::int from outbox_message group by lane'),
    })
    await waitInCluster(() => services.broker.count('Database.query'), { deadlineMs: 30_000, describe: 'a message' })
    return runId
  }

  test('while the container of a worker is killed in the middle of its work', async () => {
    const pod = await readyPod(release, ofWorker('database-query'))
    const runId = await begin('a worker is killed')
    await someAreWritten(runId)
    killIn(pod, 'worker')
    await othersAreNot(runId)
    await expectEveryLeadOnce(release, runId, leads)
    await startedAgain(release, pod, 'worker')
  })

  test('while a relay is killed that has published them and heard of no confirm', async () => {
    const pod = await readyPod(release, ofWorker('rd-station-get-leads'))
    const runId = await publishUnconfirmed('a relay is killed', pod)
    killIn(pod, 'outbox-relay')
    release.services.ways.rabbitmq.resume()
    await expectEveryLeadOnce(release, runId, leads)
    await startedAgain(release, pod, 'outbox-relay')
  })

  test('while the pod of such a relay is deleted with its lane full', async () => {
    const { namespace, services } = release
    const pod = await readyPod(release, ofWorker('rd-station-get-leads'))
    const { name } = pod.metadata
    const runId = await publishUnconfirmed('a pod is deleted', pod)
    await namespace.kubectl(['delete', 'pod', name, '--grace-period', '1', '--timeout', '60s'])
    expect(await rowsOf(pod)).toBeGreaterThanOrEqual(leads)
    services.ways.rabbitmq.resume()
    await expectEveryLeadOnce(release, runId, leads)
    await readyPod(release, ofWorker('rd-station-get-leads'), (one) => one.metadata.name !== name)
  })

  test('while the program of a tick is killed, the relay of another, and the pod of a third is deleted', async () => {
    const { api, namespace, services } = release
    const { name, steps } = strictLeads('ticks are struck', 0)
    const [tick, , saveLead] = steps
    // One lead a tick, so that nothing but the strikes takes time.
    const config = { ...tick.config, payload: [{ uuid: 'of-a-tick' }] }
    const workflow = await api.createWorkflow({ name, steps: [{ ...tick, nextStep: saveLead.name, config }, saveLead] })
    const { metadata } = await cronJobOf(release, stepIdOf(workflow))
    const jobs = ['program-killed', 'relay-killed', 'pod-deleted'] as const
    // So each of them is in the middle of its work.
    services.ways.database.pause()
    const begun = async (job: string): Promise<Pod> => {
      await tickByHand(release, metadata.name, job)
      return waitInCluster(
        async () => (await podsOfTick(release, job)).find((pod) => runs(pod, 'cron-job') && runs(pod, 'outbox-relay')),
        { deadlineMs: 60_000, describe: () => describePods(namespace) },
      )
    }
    const [ofProgram, ofRelay, deleted] = await Promise.all([begun(jobs[0]), begun(jobs[1]), begun(jobs[2])])
    killIn(ofProgram, 'cron-job')
    killIn(ofRelay, 'outbox-relay')
    await namespace.kubectl(['delete', 'pod', deleted.metadata.name, '--grace-period', '1', '--wait=false'])
    services.ways.database.resume()
    await Promise.all(jobs.map((job) => completedAtLast(release, job)))

    const exits = async (job: string) => (await podsOfTick(release, job)).map(exitsOf).toSorted()
    expect(await exits('program-killed')).toEqual(['cron-job 0', 'cron-job 137'])
    expect(await exits('relay-killed')).toEqual(['cron-job 0'])
    expect((await podsOfTick(release, 'pod-deleted')).map((pod) => pod.metadata.name)).not.toEqual([
      deleted.metadata.name,
    ])
    await readyPod(release, ofControlPlane)
    const begunRuns = await api.runs(workflow)
    const keys = begunRuns.map(({ idempotencyKey }) => idempotencyKey)
    expect(keys.toSorted()).toEqual(jobs.map((job) => `job/${job}`).toSorted())
    for (const { id } of begunRuns) {
      expect(await api.runOver(id)).toMatchObject({ status: 'succeeded', steps: [{ succeeded: 1 }, { succeeded: 1 }] })
      expect(await written(release, id)).toBe(1)
    }
  })

  test('while the kubelet is killed, and a worker before the next kubelet is up', async () => {
    const pod = await readyPod(release, ofWorker('database-query'))
    const runId = await begin('the kubelet is killed')
    await someAreWritten(runId)
    killKubelet()
    killIn(pod, 'worker')
    await othersAreNot(runId)
    await expectEveryLeadOnce(release, runId, leads)
    await startedAgain(release, pod, 'worker')
  })
})
