import { cloneDatabase, createVhost, runOn, startProxy, type TestDatabase, type TestVhost } from '@esteira/test/support'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { type LaneUnderTest, openLane } from '../../../test/lane-under-test.ts'
import { identifyBackend } from './backend.ts'
import { openControlSession } from './control-session.ts'
import { watchSilence } from './watch-silence.ts'

const soon = { timeout: 15_000, interval: 20 }

/** Sooner than any statement is given up for its own time. */
const noticed = { timeout: 25_000, interval: 100 }

let database: TestDatabase
let vhost: TestVhost

beforeAll(async () => {
  ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
})
afterAll(() => Promise.all([database.drop(), vhost.drop()]))

/** A relay that sleeps, with its lane, and the way on which it came to Postgres. */
const startRelay = async ({ task, onTestFinished, expect }: TestContext) => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const lane: LaneUnderTest = await openLane(task.id, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  onTestFinished(lane.close)
  await lane.declareQueue(lane.name)
  const relay = lane.relay({ databaseUrl: proxy.url })
  await relay.start()
  // Behind a row that has gone out every statement that waits for its answer was sent after the relay came to listen: of one
  // from before that the bell's session would be taken for younger than the silence.
  await lane.commit({ routingKey: lane.name, payload: 0 })
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  return { proxy, lane, relay }
}

/** A session with a watch, and the way on which it came to Postgres. */
const openWatched = async ({ onTestFinished }: TestContext, databaseUrl = database.url, askedAt?: string) => {
  const proxy = await startProxy(databaseUrl)
  onTestFinished(proxy.stop)
  const session = await openControlSession(proxy.url, 'watched')
  onTestFinished(session.close)
  void watchSilence(session, await identifyBackend(session), { databaseUrl: askedAt ?? proxy.url, lane: 'watched' })
  return { proxy, session }
}

// They wait for seconds to pass, so they do it together.
describe.concurrent('a Postgres from which nothing is heard', { timeout: 90_000 }, () => {
  test('also by those who come anew has the relay say so, and go on when it is heard again', async (context) => {
    const { expect } = context
    const { proxy, lane, relay } = await startRelay(context)
    proxy.pause()
    await expect
      .poll(() => relay.saw('relay.lost'), noticed)
      .toMatchObject([{ reason: expect.stringContaining('silent') }])
    await lane.commit({ routingKey: lane.name, payload: 1 })
    proxy.resume()
    await expect.poll(() => lane.count(lane.name), noticed).toBe(2)
  })

  test('on the sessions that there are, and on no other, has the relay begin both of them anew', async (context) => {
    const { expect } = context
    const { proxy, lane, relay } = await startRelay(context)
    proxy.silence()
    await expect
      .poll(() => relay.saw('relay.lost'), noticed)
      .toMatchObject([{ reason: expect.stringContaining('not at work') }])
    // It is told, and does not find out by itself, by a statement that waits for 8 s.
    const told = { reason: 'another session has gone silent' }
    await expect.poll(() => relay.saw('bell.lost'), noticed).toMatchObject([told])
    await expect.poll(() => relay.saw('bell.listening').length, noticed).toBe(2)
    await lane.commit({ routingKey: lane.name, payload: 1 })
    await expect.poll(() => lane.count(lane.name), noticed).toBe(2)
  })

  test('and which has not noticed itself is noticed, as where its process is frozen', async (context) => {
    const { expect } = context
    const { proxy, session } = await openWatched(context)
    await session.query({ text: `select set_config('idle_session_timeout', '0', false)` }, [])
    proxy.silence()
    await expect.poll(() => session.lost.aborted, noticed).toBe(true)
  })

  test('since its answer takes long is waited for', async (context) => {
    const { expect } = context
    const { session } = await openWatched(context)
    const { rowCount } = await session.query({ text: 'select pg_sleep(20)', mayTakeLong: true }, [])
    expect(rowCount).toBe(1)
  })

  test('since its answer takes long is waited for where nobody can be asked after it', async (context) => {
    const { expect } = context
    const { session } = await openWatched(context, database.url, 'postgres://127.0.0.1:9/nobody')
    const { rowCount } = await session.query({ text: 'select pg_sleep(20)', mayTakeLong: true }, [])
    expect(rowCount).toBe(1)
  })

  test('since its answer takes long is waited for where it takes no more sessions', async (context) => {
    const { expect, onTestFinished } = context
    const name = new URL(database.url).pathname.slice(1)
    await runOn(database.url, `create role "${name}" login password 'any' connection limit 1`)
    onTestFinished(async () => void (await runOn(database.url, `drop role "${name}"`)))
    const address = new URL(database.url)
    address.username = name
    address.password = 'any'
    const { session } = await openWatched(context, address.href)
    const { rowCount } = await session.query({ text: 'select pg_sleep(20)', mayTakeLong: true }, [])
    expect(rowCount).toBe(1)
  })
})
