import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { environment, useServices } from '../test/use-services.ts'

const soon = { timeout: 40_000, interval: 20 }
/** Nothing listens there: it is the port of a service that no machine has. */
const nobody = 'postgres://127.0.0.1:9/none'
const failing = join(import.meta.dirname, '../test/failing-main.ts')
const failingStop = join(import.meta.dirname, '../test/failing-stop-main.ts')
const failingEarly = join(import.meta.dirname, '../test/failing-early-main.ts')

useServices()

test('a relay that fails of a fault of its own ends its process, with that fault', async () => {
  const relay = startSidecar(environment('fails'), failing)
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  relay.child.kill('SIGUSR2')
  expect(await relay.exited).toBe(1)
  expect(relay.faults.join('\n')).toContain('Error: a fault of the relay')
})

test('one that still waits for Postgres is refused its start, with that fault', async () => {
  const relay = startSidecar({ ...environment('fails early'), DATABASE_URL: nobody }, failing)
  await expect.poll(() => relay.saw('database.unavailable').length, soon).toBeGreaterThan(0)
  relay.child.kill('SIGUSR2')
  expect(await relay.exited).toBe(1)
  expect(relay.saw('failed')).toMatchObject([{ reason: 'a fault of the relay' }])
  expect(relay.faults).toEqual([])
})

test('one whose session has just begun is refused its start as well, and does not go on with it', async () => {
  const relay = startSidecar(environment('fails soon'), failingEarly)
  expect(await relay.exited).toBe(1)
  expect(relay.saw('failed')).toMatchObject([{ reason: 'a fault of the relay' }])
  expect(relay.saw('ready')).toEqual([])
  expect(relay.faults).toEqual([])
})

test.each([
  ['that carries its lane', 'ready', {}],
  ['that still waits for Postgres', 'database.unavailable', { DATABASE_URL: nobody }],
])('one %s and fails in its stop says so by its log, and exits with 1', async (_, event, given) => {
  const relay = startSidecar({ ...environment('fails late'), ...given }, failingStop)
  await expect.poll(() => relay.saw(event).length, soon).toBeGreaterThan(0)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(1)
  expect(relay.saw('failed')).toMatchObject([{ reason: 'a fault of the relay' }])
  expect(relay.faults).toEqual([])
})
