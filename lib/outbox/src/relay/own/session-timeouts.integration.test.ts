import { cloneDatabase, createVhost, startProxy, type TestDatabase, type TestVhost } from '@esteira/test/support'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { type LaneUnderTest, openLane } from '../../../test/lane-under-test.ts'
import { startSlowProxy } from '../../../test/slow-proxy.ts'
import { openControlSession, sessionTimeoutMs } from './control-session.ts'
import { tryLaneLock } from './lane-lock.ts'

const soon = { timeout: 15_000, interval: 20 }

let database: TestDatabase
let vhost: TestVhost

beforeAll(async () => {
  ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
})
afterAll(() => Promise.all([database.drop(), vhost.drop()]))

/** A lane of the test alone, with a queue of its name. */
const laneOf = async ({ task, onTestFinished }: TestContext): Promise<LaneUnderTest> => {
  const lane = await openLane(task.id, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  onTestFinished(lane.close)
  await lane.declareQueue(lane.name)
  return lane
}

/** A way to Postgres that the test may stop. */
const wayOf = async ({ onTestFinished }: TestContext) => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  return proxy
}

// What they wait for are the seconds that Postgres leaves a session, so they wait for them together.
describe.concurrent('a session that is silent', { timeout: 60_000 }, () => {
  test('of a relay that hears nothing from Postgres any more loses its lane to a neighbour', async (context) => {
    const { expect } = context
    const [lane, proxy] = [await laneOf(context), await wayOf(context)]
    const deaf = lane.relay({ databaseUrl: proxy.url })
    await deaf.start()
    await expect.poll(() => deaf.saw('relay.owned').length, soon).toBe(1)
    proxy.pause()
    const heir = lane.relay()
    await heir.start()
    expect(heir.saw('relay.owned')).toEqual([])
    await expect.poll(() => heir.saw('relay.owned').length, { timeout: 3 * sessionTimeoutMs, interval: 100 }).toBe(1)
    proxy.resume()
    await expect.poll(() => deaf.saw('relay.lost').length, soon).toBe(1)
  })

  test('is kept when it has nothing to say, and is not fresh once it is not answered', async (context) => {
    const { expect } = context
    const proxy = await wayOf(context)
    const session = await openControlSession(proxy.url, 'quiet')
    const startedMs = performance.now()
    await expect
      .poll(() => performance.now() - startedMs, { timeout: 30_000, interval: 500 })
      .toBeGreaterThan(1.5 * sessionTimeoutMs)
    expect(session.fresh()).toBe(true)
    proxy.pause()
    await expect.poll(() => session.fresh(), { timeout: sessionTimeoutMs, interval: 100 }).toBe(false)
    expect(session.lost.aborted).toBe(false)
    await session.close()
  })

  test('is not made fresh by an answer that comes late: it tells of the time when it was asked for', async (context) => {
    const { expect } = context
    const proxy = await wayOf(context)
    const session = await openControlSession(proxy.url, 'late')
    proxy.pause()
    const answer = session.query({ text: 'select' }, [])
    const askedAtMs = performance.now()
    await expect.poll(() => performance.now() - askedAtMs, soon).toBeGreaterThan(0.75 * sessionTimeoutMs)
    proxy.resume()
    await answer
    expect(session.fresh()).toBe(false)
    await expect.poll(() => session.fresh(), soon).toBe(true)
    await session.close()
  })

  test.for([
    ['read_from_floor', 'pod'],
    ['read_firsts', 'key'],
  ] as const)(
    'longer than it is fresh, in a read, has its rows published all the same: %s',
    async ([statement, kind], context) => {
      const { expect } = context
      const lane = await laneOf(context)
      const name = kind === 'key' ? 'key 1' : lane.name
      const proxy = await startSlowProxy(database.url, { statement, delayMs: 0.75 * sessionTimeoutMs })
      const relay = lane.relay({ databaseUrl: proxy.url, lane: name })
      await lane.db.query(
        `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
         select id, gen_random_uuid(), $1, case when kind = 'key' then 'a' end, '1' from outbox_lane where name = $2`,
        [lane.name, name],
      )
      expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
      await relay.stop({ graceMs: 0 })
      await proxy.stop()
    },
  )

  test('because its client has closed it in the middle of a statement loses its lanes before that has ended', async (context) => {
    const { expect } = context
    const lane = await laneOf(context)
    const [gone, heir] = [
      await openControlSession(database.url, 'gone'),
      await openControlSession(database.url, 'heir'),
    ]
    expect(await tryLaneLock(gone, 'owner', lane.id)).toBe(true)
    const answered = Promise.allSettled([gone.query({ text: 'select pg_sleep(60)' }, [])])
    const isAtWork = () =>
      lane.db.query(`select from pg_stat_activity where application_name = 'gone' and wait_event = 'PgSleep'`)
    await expect.poll(async () => (await isAtWork()).rowCount, soon).toBe(1)
    await Promise.all([gone.close(), answered])
    await expect.poll(() => tryLaneLock(heir, 'owner', lane.id), { timeout: 15_000, interval: 100 }).toBe(true)
    await heir.close()
  })

  test.for([
    ['with a transaction open', 'begin'],
    ['in the middle of an answer', `select repeat('x', 1000000) from generate_series(1, 100)`],
  ] as const)('because it is frozen %s loses its lanes as well', async ([, text], context) => {
    const { expect } = context
    const [lane, proxy] = [await laneOf(context), await wayOf(context)]
    const frozen = await openControlSession(proxy.url, 'frozen')
    expect(await tryLaneLock(frozen, 'owner', lane.id)).toBe(true)
    proxy.pause()
    const answered = Promise.allSettled([frozen.query({ text }, [])])
    const heir = await openControlSession(database.url, 'heir')
    expect(await tryLaneLock(heir, 'owner', lane.id)).toBe(false)
    await expect
      .poll(() => tryLaneLock(heir, 'owner', lane.id), { timeout: 3 * sessionTimeoutMs, interval: 100 })
      .toBe(true)
    await Promise.all([frozen.close(), heir.close()])
    await answered
  })
})
