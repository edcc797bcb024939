import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ownsNode } from '../index.ts'
import { expectEveryLeadOnce, strictLeads, strictTable } from '../support/leads.ts'
import { endings } from '../support/objects.ts'
import { ofWorker, readyPod } from '../support/pods.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { completed, cronJobOf, stepIdOf, tickByHand } from '../support/ticks.ts'

const leads = 300

describe.runIf(ownsNode())('while RabbitMQ is away', () => {
  let release: TestRelease
  beforeAll(async () => {
    release = await installRelease({ leads, crmSql: strictTable })
  }, 600_000)
  afterAll(() => release.remove())

  test('a tick is complete, and its leads arrive when RabbitMQ is back', async () => {
    const { api, namespace, services } = release
    const workflow = await api.createWorkflow(strictLeads('without RabbitMQ', 0))
    const stepId = stepIdOf(workflow)
    const { metadata } = await cronJobOf(release, stepId)
    await services.allPublished()

    services.ways.rabbitmq.cut()
    await tickByHand(release, metadata.name, 'while-away')
    // Its relay waits for RabbitMQ as long as it may.
    expect(endings(await completed(release, 'while-away'))).toEqual([
      { name: 'outbox-relay', exitCode: 0, restarts: 0 },
      { name: 'cron-job', exitCode: 0, restarts: 0 },
    ])
    const [run = expect.fail()] = await api.runs(workflow)
    expect(run).toMatchObject({ idempotencyKey: `${namespace.name}/while-away`, status: 'running' })
    expect(await services.sql('select name from outbox_message join outbox_lane on lane = outbox_lane.id')).toEqual([
      { name: metadata.name },
    ])

    services.ways.rabbitmq.resume()
    await expectEveryLeadOnce(release, run.id, leads)
    // Nobody was killed for it.
    for (const worker of ['rd-station-get-leads', 'database-query']) {
      const pod = await readyPod(release, ofWorker(worker))
      expect(endings(pod).map(({ restarts }) => restarts)).toEqual([0, 0])
    }
  })
})
