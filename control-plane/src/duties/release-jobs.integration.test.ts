import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startReleasingJobs } from './release-jobs.ts'

useApi()

test('jobs whose window was made free by a worker that died are put onto the belt by the duty', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  // As a commit leaves it that found the window full, after the jobs that filled it are over.
  await api.query(
    `with staged as (
       update workflow_job set status = 'staged', enqueued_at = null where run_id = $1 returning run_id, step_id, id
     ), counted as (
       update workflow_run_step set belt = 0, staged = 1 where run_id = $1 and belt = 1
     )
     insert into workflow_waiting select run_id, step_id, id from staged`,
    [id],
  )
  const duty = startReleasingJobs(api.orm, api.lane, () => {})
  onTestFinished(duty.stop)
  const read = async () => (await api.send('GET', `/v1/jobs?runId=${id}&status=queued`)).body
  await waitFor(async () => JSON.stringify(await read()).includes('"seq":2'), { describe: read })
  expect(
    await api.query(`select routing_key, payload ->> 'seq' as seq from outbox_message order by id desc limit 1`),
  ).toEqual([{ routing_key: 'RdStation.getLeads', seq: '2' }])
})
