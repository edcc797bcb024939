import { isDeepStrictEqual } from 'node:util'
import {
  inOrder,
  type OtlpReceiver,
  type Proxy,
  startOtlpReceiver,
  startProxy,
  tracesOfLeads,
  treeOf,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { machineAddress, ownsNode } from '../index.ts'
import { expectEveryLeadOnce, strictLeads, strictTable } from '../support/leads.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { completed, cronJobOf, stepIdOf, tickByHand } from '../support/ticks.ts'

const leads = 3

describe.runIf(ownsNode())('with an endpoint for traces in the values', () => {
  let receiver: OtlpReceiver
  let way: Proxy
  let release: TestRelease
  beforeAll(async () => {
    receiver = await startOtlpReceiver()
    way = await startProxy(receiver.url, { host: machineAddress() })
    const env = { OTEL_BSP_SCHEDULE_DELAY: '100' }
    const telemetry = { endpoint: new URL(way.url).origin, protocol: 'http/json', env }
    release = await installRelease({ leads, crmSql: strictTable, values: { telemetry } })
  }, 600_000)
  afterAll(async () => {
    await release.remove()
    await way.stop()
    await receiver.stop()
  })

  test('the traces of a tick are complete, over its pod, the relays and the workers', async () => {
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
    await waitFor(() => isDeepStrictEqual(inOrder(trees()), expected), { deadlineMs: 30_000, describe: trees })
  })
})
