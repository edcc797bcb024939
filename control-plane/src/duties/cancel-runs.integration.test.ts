import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startCancellingRuns } from './cancel-runs.ts'

useApi()

test('a run whose canceller died after it was marked is cancelled by the duty', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  // All that a canceller had done when it died.
  await queryable(api.orm.em.fork()).query(`update workflow_run set status = 'cancelling' where id = $1`, [id])
  const duty = startCancellingRuns(api.orm, () => {})
  onTestFinished(duty.stop)
  const read = async () => (await api.send('GET', `/v1/runs/${id}`)).body
  await waitFor(async () => runDocument.loose().parse(await read()).status === 'cancelled', { describe: read })
  expect((await api.send('GET', `/v1/jobs?runId=${id}`)).body).toMatchObject({ items: [{ status: 'cancelled' }] })
})
