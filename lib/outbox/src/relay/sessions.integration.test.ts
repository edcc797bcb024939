import { runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { createPayloadMemory } from './lane/payload-memory.ts'
import { checkOptions } from './options.ts'
import { createBrokerLink } from './publish/broker-link.ts'
import { createSessions } from './sessions.ts'

useLane()

/** How long it is waited after each of six sessions that end as soon as they own the lane, and last so long by the clock. */
const waitsOf = async (lastsMs: number): Promise<number[]> => {
  const waits: number[] = []
  const endings: Promise<unknown>[] = []
  let nowMs = 0
  const settings = checkOptions({
    databaseUrl: database.url,
    rabbitmqUrl: vhost.url,
    lane: lane.name,
    observe: ({ kind }) => {
      if (kind === 'relay.owned') endings.push(endSession())
      if (kind === 'relay.lost') nowMs += lastsMs
    },
  })
  const link = createBrokerLink({ ...settings, name: lane.name })
  onTestFinished(link.close)
  await link.connect()
  const over = new AbortController()
  const wait = async (ms: number) => {
    waits.push(ms)
    if (waits.length === 6) return over.abort()
    // It goes with the session.
    await link.connect()
  }
  const means = {
    settings,
    link,
    memory: createPayloadMemory(),
    draining: new AbortController().signal,
    over,
    ready: { resolve: () => {}, reject: () => {} },
  }
  await createSessions(means, { wait, now: () => nowMs }).serve()
  await Promise.all(endings)
  return waits
}

const endSession = () =>
  runOn(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox relay ${lane.name}'`,
  )

test('sessions that are lost young are opened more and more seldom, and those that lasted at once', async () => {
  for (const [index, ms] of (await waitsOf(0)).entries()) expect(ms).toBeGreaterThanOrEqual(125 * 2 ** index)
  const firstPause = expect.toSatisfy((ms: number) => ms >= 125 && ms <= 250)
  expect(await waitsOf(10_000)).toEqual(Array(6).fill(firstPause))
})
