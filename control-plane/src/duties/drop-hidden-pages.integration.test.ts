import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startDroppingHiddenPages } from './drop-hidden-pages.ts'

useApi()

test('hidden items of an attempt that died are shown to nobody, and removed by the duty', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  // As a worker leaves it that is killed behind its first page.
  await api.query(
    `with parent as (select id, run_id from workflow_job where run_id = $1), child as (
       insert into workflow_job (id, run_id, step_id, parent_id, item_index, status, traceparent, enqueued_at)
       select gen_random_uuid(), parent.run_id, gen_random_uuid(), parent.id, place, 'hidden', '', null
       from parent, generate_series(0, 1) as place
       returning id, parent_id
     )
     insert into workflow_hidden_page select parent_id, gen_random_uuid(), 0, array_agg(id) from child group by parent_id`,
    [id],
  )
  const jobs = `select count(*)::int as jobs from workflow_job where run_id = $1`
  expect(await api.query(jobs, [id])).toEqual([{ jobs: 3 }])
  const { items } = listed((await api.send('GET', `/v1/jobs?runId=${id}`)).body)
  expect(items).toHaveLength(1)
  const duty = startDroppingHiddenPages(api.orm, () => {})
  onTestFinished(duty.stop)
  await waitFor(async () => (await api.query(`select from workflow_hidden_page`)).length === 0)
  expect(await api.query(jobs, [id])).toEqual([{ jobs: 1 }])
})

test('a job that has given items is sent again without another payload, and refused with one', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'more leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  const [{ id: job } = { id: '' }] = listed((await api.send('GET', `/v1/jobs?runId=${id}`)).body).items
  await api.query(`update workflow_job set status = 'failed', finished_at = now(), emitted = 7 where id = $1`, [job])
  await api.query(`update workflow_run_step set belt = 0, failed = 1 where run_id = $1 and belt = 1`, [id])
  const retry = `/v1/jobs/${job}/retry`
  expect(await api.send('POST', retry, { payload: null })).toMatchObject({
    status: 409,
    body: { code: 'job_has_items' },
  })
  expect(await api.send('POST', retry)).toMatchObject({ status: 200, body: { status: 'queued', emitted: 7 } })
})

const listed = (body: unknown) => z.object({ items: z.array(z.object({ id: z.string() })) }).parse(body)
