import { isDeepStrictEqual } from 'node:util'
import { inOrder, type OtlpReceiver, tracesOfLeads, treeOf } from '@esteira/test/support'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { expectEveryLeadOnce, strictLeads } from '../../support/leads.ts'
import { endings } from '../../support/objects.ts'
import { ofWorker, readyPod } from '../../support/pods.ts'
import type { TestRelease } from '../../support/release.ts'
import { completed, cronJobOf, stepIdOf, tickByHand } from '../../support/ticks.ts'
import { waitInCluster } from '../../support/wait-in-cluster.ts'

const leads = 30

/** What holds for a tick, on a release with the strict table that traces to the receiver. */
export const ticks = (of: () => { release: TestRelease; receiver: OtlpReceiver }): void => {
  describe('a tick', () => {
    let receiver: OtlpReceiver
    let release: TestRelease
    beforeAll(() => {
      ;({ release, receiver } = of())
      release.services.rdStation.control.set({ leads })
    })

    test('has complete traces, over its pod, the relays and the workers, with an endpoint for them in the values', async () => {
      const workflow = await release.api.createWorkflow(strictLeads('traced', 0))
      const stepId = stepIdOf(workflow)
      const { metadata } = await cronJobOf(release, stepId)
      await tickByHand(release, metadata.name, 'traced')
      await completed(release, 'traced')
      const [run = expect.fail()] = await release.api.runs(workflow)
      await expectEveryLeadOnce(release, run.id, leads)

      const ofJobs = () =>
        receiver
          .spans()
          .filter(({ attributes }) => attributes['esteira.run.id'] === run.id)
          .filter(({ attributes }) => attributes['esteira.job.id'] !== undefined)
      const trees = () =>
        ofJobs()
          .filter(({ parent }) => parent === null)
          .map((root) => treeOf(root, ofJobs()))
      const expected = inOrder(tracesOfLeads('esteira-cron-job', leads))
      await waitInCluster(() => isDeepStrictEqual(inOrder(trees()), expected), { deadlineMs: 30_000, describe: trees })
    })

    test('is complete while RabbitMQ is away, and its leads arrive when it is back', async () => {
      const { api, services } = release
      const workflow = await api.createWorkflow(strictLeads('without RabbitMQ', 0))
      const stepId = stepIdOf(workflow)
      const { metadata } = await cronJobOf(release, stepId)
      await services.allPublished()
      const workers = async () => {
        const pods = ['rd-station-get-leads', 'database-query'].map((name) => readyPod(release, ofWorker(name)))
        return (await Promise.all(pods)).map((pod) => ({ uid: pod.metadata.uid, endings: endings(pod) }))
      }
      const before = await workers()

      onTestFinished(() => services.ways.rabbitmq.resume())
      services.ways.rabbitmq.cut()
      await tickByHand(release, metadata.name, 'while-away')
      // Its relay waits for RabbitMQ as long as it may.
      expect(endings(await completed(release, 'while-away'))).toEqual([
        { name: 'outbox-relay', exitCode: 0, restarts: 0 },
        { name: 'cron-job', exitCode: 0, restarts: 0 },
      ])
      const [run = expect.fail()] = await api.runs(workflow)
      expect(run).toMatchObject({ idempotencyKey: 'job/while-away', status: 'running' })
      expect(await services.sql('select name from outbox_message join outbox_lane on lane = outbox_lane.id')).toEqual([
        { name: metadata.name },
      ])

      services.ways.rabbitmq.resume()
      await expectEveryLeadOnce(release, run.id, leads)
      // Nobody was killed for it.
      expect(await workers()).toEqual(before)
    })
  })
}
