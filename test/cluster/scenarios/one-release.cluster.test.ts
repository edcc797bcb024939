import { type OtlpReceiver, type Proxy, startOtlpReceiver, startProxy } from '@esteira/test/support'
import { afterAll, beforeAll, describe } from 'vitest'
import { machineAddress, ownsNode } from '../index.ts'
import { documentedTable, strictTable } from '../support/leads.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { cronJobs } from './one-release/cron-jobs.ts'
import { install } from './one-release/install.ts'
import { ticks } from './one-release/ticks.ts'

// To install a release and to remove it costs more than what is asked of one: these parts have one together.
describe.runIf(ownsNode())('a release that traces', () => {
  let receiver: OtlpReceiver
  let way: Proxy
  let release: TestRelease
  beforeAll(async () => {
    receiver = await startOtlpReceiver()
    way = await startProxy(receiver.url, { host: machineAddress() })
    const env = { OTEL_BSP_SCHEDULE_DELAY: '100' }
    const telemetry = { endpoint: new URL(way.url).origin, protocol: 'http/json', env }
    const crmSql = `${documentedTable}; ${strictTable}`
    release = await installRelease({ leads: 0, crmSql, values: { telemetry } })
  }, 600_000)
  afterAll(async () => {
    await release.remove()
    await way.stop()
    await receiver.stop()
  })

  install(() => release)
  cronJobs(() => release)
  ticks(() => ({ release, receiver }))
})
