import { cloneDatabase, startProxy, waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Api, leadsSteps, openApi } from '../../test/open-api.ts'
import type { LoopEvent } from '../loop.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startSettlingRuns } from './settle-runs.ts'
import { openOrm } from '@esteira/workflow'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api
beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url)
})
afterEach(async () => {
  await api.close()
  await database.drop()
})

/** A run of which everything is done, but whose last worker died before it could say so. */
const forgottenRun = async (): Promise<string> => {
  const { body } = await api.send('POST', '/v1/workflows', {
    name: `w ${performance.now()}`,
    steps: leadsSteps.slice(1),
  })
  const run = await api.send('POST', `/v1/workflows/${workflowDocument.parse(body).id}/runs`)
  const { id } = runDocument.parse(run.body)
  await api.query(`update workflow_job set status = 'succeeded', finished_at = now() where run_id = $1`, [id])
  await api.query('update workflow_run_step set belt = 0, succeeded = 1 where run_id = $1 and belt = 1', [id])
  return id
}

const statusOf = async (id: string) => {
  const { body } = await api.send('GET', `/v1/runs/${id}`)
  return runDocument.loose().parse(body).status
}

test('a run that was forgotten ends by itself', async () => {
  const id = await forgottenRun()
  expect(await statusOf(id)).toBe('running')
  const settling = startSettlingRuns(api.orm, () => {})
  await waitFor(async () => (await statusOf(id)) === 'succeeded', { describe: 'the run to end' })
  await settling.stop()
})

test('the sweep survives a database that goes away and comes back', async () => {
  const proxy = await startProxy(database.url)
  const orm = openOrm({ databaseUrl: proxy.url, poolSize: 2, applicationName: 'sweep' })
  const events: LoopEvent[] = []
  const settling = startSettlingRuns(orm, (event) => events.push(event))
  proxy.cut()
  await waitFor(() => events.some(({ kind }) => kind === 'loop.failed'), { describe: 'a turn to fail' })
  proxy.resume()
  const id = await forgottenRun()
  await waitFor(async () => (await statusOf(id)) === 'succeeded', { deadlineMs: 20_000, describe: 'the run to end' })
  expect(events.at(-1)?.kind).toBe('loop.recovered')
  await settling.stop()
  await orm.close()
  await proxy.stop()
})
