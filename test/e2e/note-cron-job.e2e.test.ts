import type { ApiWorkflow } from '@esteira/dev/house'
import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

let house: TestHouse

beforeAll(async () => {
  house = await startTestHouse({ leads: 10, cron: 'local', crmSql: '' })
  // A function whose queue nobody consumes, so that what arrives there can be looked at.
  await house.sql(`insert into workflow_function (name, config_schema) values ('Test.sink', '{"type":"object"}')`)
  await house.broker.declareQueue('Test.sink')
})
afterAll(() => house.stop())

const everyMinute = '* * * * *'
const newYear = '0 0 1 1 *'
const cronWorkflow = (name: string, change: { schedule?: string; enabled?: boolean } = {}) => ({
  name,
  enabled: change.enabled ?? true,
  steps: [
    { name: 'tick', functionName: 'CronJob', config: { schedule: change.schedule ?? everyMinute, payload: { name } } },
  ],
})
const ticksOf = async (workflow: ApiWorkflow) =>
  (await house.api.runs(workflow)).filter(({ trigger }) => trigger === 'cron')
/** The minutes of a workflow's ticks, also of one that is deleted: the local scheduler has them in its keys. */
const minutesOf = async ({ id }: ApiWorkflow): Promise<number[]> => {
  const rows = await house.sql(
    `select split_part(idempotency_key, '/', 3) as minute from workflow_run
     where workflow_id = '${id}' and trigger = 'cron'`,
  )
  return minuteRows.parse(rows).map(({ minute }) => Date.parse(minute))
}
const minuteRows = z.array(z.object({ minute: z.iso.datetime() }))
const untilTicks = (workflow: ApiWorkflow, ticks: number) =>
  waitFor(async () => (await ticksOf(workflow)).length >= ticks, {
    deadlineMs: 75_000,
    describe: `tick ${ticks} of "${workflow.name}"`,
  })

describe.concurrent('the CronJob function', () => {
  test('whenever a step of type CronJob is created it ticks, with nothing else touched; changed, it ticks by its new schedule; removed or disabled, it stops', async () => {
    const created = await house.api.createWorkflow(cronWorkflow('created'))
    const stillToChange = await house.api.createWorkflow(cronWorkflow('changed', { schedule: newYear }))
    const toDisable = await house.api.createWorkflow(cronWorkflow('disabled'))
    const toRemove = await house.api.createWorkflow(cronWorkflow('removed'))
    const withoutStep = await house.api.createWorkflow(cronWorkflow('without its step'))
    await Promise.all([created, toDisable, toRemove, withoutStep].map((workflow) => untilTicks(workflow, 1)))
    expect(await ticksOf(stillToChange)).toEqual([])

    const changed = await house.api.changeWorkflow(stillToChange, cronWorkflow('changed'))
    await house.api.changeWorkflow(toDisable, cronWorkflow('disabled', { enabled: false }))
    await house.api.deleteWorkflow(toRemove)
    await house.api.changeWorkflow(withoutStep, { name: 'without its step', steps: [] })
    const savedMs = Date.now()

    const minutesSince = async (workflow: ApiWorkflow): Promise<number[]> =>
      (await minutesOf(workflow)).filter((minute) => minute > savedMs)
    await Promise.all(
      [changed, created].map((workflow) =>
        waitFor(async () => (await minutesSince(workflow)).length > 0, {
          deadlineMs: 75_000,
          describe: `a tick of "${workflow.name}" after the changes`,
        }),
      ),
    )
    // Both of those ticked at the minute at which the others would have.
    for (const stopped of [toDisable, toRemove, withoutStep]) expect(await minutesSince(stopped)).toEqual([])
    // A tick is one run, however it was fired.
    const minutes = await minutesOf(created)
    expect(new Set(minutes).size).toBe(minutes.length)
  })

  test("when the service runs it receives the step's id, gets the step, takes the first payload from config and puts it into the queue of the next step", async () => {
    const workflow = await house.api.createWorkflow({
      name: 'to a queue',
      steps: [
        {
          name: 'tick',
          functionName: 'CronJob',
          config: { schedule: everyMinute, payload: { campaign: 'spring', size: 3 } },
          nextStep: 'sink',
          outputType: 'single',
        },
        { name: 'sink', functionName: 'Test.sink' },
      ],
    })
    await untilTicks(workflow, 1)
    const [run] = await ticksOf(workflow)
    const [job] = await house.api.jobs(workflow, run?.id ?? '', 'sink')
    expect(job).toMatchObject({ status: 'queued', payload: { campaign: 'spring', size: 3 } })
    const messages = await waitFor(
      async () => {
        const taken = await house.broker.takeAll('Test.sink')
        return taken.length > 0 ? taken : undefined
      },
      { deadlineMs: 10_000, describe: 'a message in the queue of the next step' },
    )
    expect(messages[0]).toMatchObject({ payload: { jobId: job?.id, seq: 1 } })
    expect(messages[0]?.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
  })
})
