import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { api, useApi } from '../../test/use-api.ts'
import { startPublishingFunctions } from './publish-functions.ts'

useApi()

test('what an older control plane published of a CronJob is put right by the duty', async () => {
  await api.query(`update workflow_function set config_schema = '{}' where name = 'CronJob'`)
  const duty = startPublishingFunctions(api.orm, () => {})
  onTestFinished(duty.stop)
  const schema = async () =>
    JSON.stringify(await api.query(`select config_schema from workflow_function where name = 'CronJob'`))
  await waitFor(async () => (await schema()).includes('schedule'), { describe: schema })
  expect(await schema()).toContain('overlap')
})
