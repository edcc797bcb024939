import { randomInt } from 'node:crypto'
import { holdFirstFreePort } from '@esteira/dev/house'
import type { ProcessEvent } from '@esteira/dev/processes'
import { ensureDatabase, type Stack } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import { createHouseApi } from '../../support/house-api.ts'
import { runOn } from '../../support/run-on.ts'
import { startIn } from '../start-in.ts'

const adminToken = 'a-token-of-the-kills-that-is-long-enough'

/** Who ends in order may take so long, milliseconds. */
const graceMs = 10_000

/** Two workers and the control plane, each with a relay, and the watcher, which is not struck. */
export const lanes = ['worker-a', 'worker-b', 'control-plane'] as const
export const relayOf = (lane: string): string => `relay-of-${lane}`

/** Makes the tables, and starts everyone. Neither target has a key: what is written twice is there twice. */
export const startPrograms = async (
  stack: Stack,
  { looks, observe }: { looks: string; observe: (event: ProcessEvent) => void },
) => {
  const { postgres, rabbitmq } = stack
  const databaseUrl = await ensureDatabase(postgres.url, 'kills')
  const crmUrl = await ensureDatabase(postgres.url, 'crm')
  await migrate(databaseUrl)
  await runOn(databaseUrl, 'create table saved (run text, n int)')
  await runOn(crmUrl, 'create table applied (run text, n int)')
  const held = await holdFirstFreePort(randomInt(20_000, 32_000))
  const common = { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmq.url, ESTEIRA_GRACE_MS: String(graceMs) }
  const start = startIn(stack, observe)
  const startWorker = (lane: string) =>
    start(lane, 'test/kills/workflows/worker/main.ts', {
      ...common,
      ESTEIRA_LANE: lane,
      ESTEIRA_CONNECTION_CRM: crmUrl,
    })
  const { RABBITMQ_URL: _, ...ofControlPlane } = common
  await held.release()
  const struck = new Map([
    start('control-plane', 'control-plane/src/main.ts', {
      ...ofControlPlane,
      ESTEIRA_LANE: 'control-plane',
      ESTEIRA_HTTP_PORT: String(held.port),
      ESTEIRA_ADMIN_TOKEN: adminToken,
      ESTEIRA_CRON: 'off',
    }),
    startWorker('worker-a'),
    startWorker('worker-b'),
    ...lanes.map((lane) => start(relayOf(lane), 'sidecar/src/main.ts', { ...common, ESTEIRA_LANE: lane })),
  ])
  const [, watcher] = start('watcher', 'test/kills/workflows/watcher/main.ts', {
    DATABASE_URL: databaseUrl,
    LOOKS: looks,
  })
  const all = [...struck.values(), watcher]
  await Promise.all(all.map((program) => program.ready))
  return {
    databaseUrl,
    crmUrl,
    api: createHouseApi(`http://127.0.0.1:${held.port}`, adminToken),
    struck,
    /** All of them at once, as a machine that is turned off does. */
    stop: async () => {
      await Promise.all(all.map((program) => program.stop()))
    },
  }
}
