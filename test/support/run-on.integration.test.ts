import { expect, onTestFinished, test } from 'vitest'
import { startProxy } from './proxy.ts'
import { runOn } from './run-on.ts'
import { testServers } from './test-servers.ts'
import { waitFor } from './wait-for.ts'

test('a statement whose connection falls is refused, and nobody hears of it otherwise', async () => {
  const { databaseUrl } = testServers()
  const way = await startProxy(databaseUrl)
  onTestFinished(way.stop)
  const asked = runOn(way.url, 'select pg_sleep(10)')
  const asleep = `select from pg_stat_activity where wait_event = 'PgSleep' and query = 'select pg_sleep(10)'`
  await waitFor(async () => (await runOn(databaseUrl, asleep)).length > 0)
  way.cut()
  await expect(asked).rejects.toThrow('Connection terminated unexpectedly')
})
