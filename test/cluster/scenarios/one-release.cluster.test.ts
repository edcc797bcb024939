import { type OtlpReceiver, startOtlpReceiver, startProxy } from '@esteira/test/support'
import { afterAll, beforeAll, describe } from 'vitest'
import { machineAddress, runsReleases } from '../index.ts'
import { documentedTable, strictTable } from '../support/leads.ts'
import { installRelease, type TestRelease } from '../support/release.ts'
import { cronJobs } from './one-release/cron-jobs.ts'
import { install } from './one-release/install.ts'
import { ticks } from './one-release/ticks.ts'

// To install a release and to remove it costs more than what is asked of one: these parts have one together,
// and each leaves it as it found it, also when a test of it fails.
describe.runIf(runsReleases())('a release that traces', () => {
  const started = new AsyncDisposableStack()
  let receiver: OtlpReceiver
  let release: TestRelease
  beforeAll(async () => {
    receiver = await startOtlpReceiver()
    started.defer(() => receiver.stop())
    const way = await startProxy(receiver.url, { host: machineAddress() })
    started.defer(() => way.stop())
    const env = { OTEL_BSP_SCHEDULE_DELAY: '100' }
    const telemetry = { endpoint: new URL(way.url).origin, protocol: 'http/json', env }
    const crmSql = `${documentedTable}; ${strictTable}`
    release = await installRelease({ leads: 0, crmSql, values: { telemetry } })
    started.defer(() => release.remove())
  }, 600_000)
  afterAll(() => started.disposeAsync())

  install(() => release)
  cronJobs(() => release)
  ticks(() => ({ release, receiver }))
})
