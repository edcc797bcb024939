import { waitFor } from '@esteira/test/support'
import { onTestFinished, test } from 'vitest'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'
import { startDroppingItemKeys } from './drop-item-keys.ts'

useApi()

test('the keys of items are forgotten by the duty when their job is over or gone, and not before', async () => {
  const saved = await api.send('POST', '/v1/workflows', { name: 'leads', steps: leadsSteps.slice(1) })
  const runs = `/v1/workflows/${workflowDocument.parse(saved.body).id}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs)).body)
  await api.query(
    `insert into workflow_item_key
     select id, gen_random_uuid() from (
       select id from workflow_job where run_id = $1 union all select gen_random_uuid()
     ) parent(id), generate_series(1, 25000)`,
    [id],
  )
  const duty = startDroppingItemKeys(api.orm, () => {})
  onTestFinished(duty.stop)
  await waitFor(async () => (await keys()) === 25_000)
  await duty.stop()
  await api.query(`update workflow_job set status = 'succeeded', finished_at = now() where run_id = $1`, [id])
  await api.query(`update workflow_run_step set belt = 0, succeeded = 1 where run_id = $1 and belt = 1`, [id])
  const again = startDroppingItemKeys(api.orm, () => {})
  onTestFinished(again.stop)
  await waitFor(async () => (await keys()) === 0)
})

const keys = async (): Promise<unknown> =>
  (await api.query(`select count(*)::int as keys from workflow_item_key`)).map((row) =>
    Reflect.get(Object(row), 'keys'),
  )[0]
