import { once } from 'node:events'
import { connect } from 'node:net'
import { startProxy, startSilentServer, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { lockClasses } from './own/lane-lock.ts'

useLane()

test('a relay that is stopped while it connects to Postgres says nothing after that it has stopped', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const said: string[] = []
  const relay = lane.relay({ databaseUrl: proxy.url, observe: ({ kind }) => said.push(kind) })
  await relay.start()
  proxy.cut()
  await waitFor(() => said.includes('database.unavailable') && proxy.connections() === 0)
  proxy.pause()
  await waitFor(() => proxy.connections() === 2, { describe: 'the control session and the bell to connect' })
  await relay.stop({ graceMs: 0 })
  expect(said.at(-1)).toBe('relay.stopped')
  // Connected after the relay was, so it hears of the break after the relay.
  const witness = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  await waitFor(() => proxy.connections() > 0)
  proxy.cut()
  await Promise.all([once(witness, 'close'), waitFor(() => proxy.connections() === 0)])
  expect(said.at(-1)).toBe('relay.stopped')
})

test('a start that waits for Postgres ends when the relay is stopped, which has emptied nothing', async () => {
  const relay = lane.relay({ databaseUrl: 'postgres://127.0.0.1:9/none' })
  const started = relay.start()
  await waitFor(() => relay.saw('database.unavailable').length > 0)
  await Promise.all([
    expect(started).rejects.toThrow(expect.objectContaining({ code: 'relay_stopped' })),
    relay.stop({ graceMs: 5_000 }),
  ])
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
})

/** Longer than any test may take: a relay that waits for the end of its grace fails it. */
const endless = 60_000

const messagesFor = (queue: string, length = 300) =>
  Array.from({ length }, (_, index) => ({ routingKey: queue, payload: index }))

/** Of a lane that held 300 messages and that the relay has left. */
const expectAllCarried = async (relay: ReturnType<typeof lane.relay>) => {
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(300)
}

test('a relay that is stopped as soon as it has started carries what its lane holds', async () => {
  await lane.commit(...messagesFor(lane.name))
  const relay = lane.relay()
  await relay.start()
  await relay.stop({ graceMs: 10_000 })
  await expectAllCarried(relay)
})

/** When the relay's last statement began, if it was a read and Postgres is done with it. */
const lastRead = async () => {
  const { rows } = await lane.db.query<{ at: string }>(
    `select query_start::text as at from pg_stat_activity
     where application_name = $1 and state = 'idle' and query like '%from outbox_message%id > $2%'`,
    [`outbox relay ${lane.name}`],
  )
  return rows[0]?.at ?? null
}

test('a row that commits between the read of a pass and the stop is carried by the next pass', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url, pollMs: 600_000 })
  await relay.start()
  await waitFor(() => lane.isAsleep())
  proxy.pauseBehind('read_from_floor')
  // Until it is heard: one that falls asleep takes a ring for that of a row, and looks once more.
  const isRead = async () => {
    await lane.db.query(`select pg_notify('outbox_lane_' || $1, '')`, [lane.id])
    return (await lastRead()) !== null
  }
  await waitFor(isRead, { describe: 'the read of an empty lane, and no answer of it' })
  await lane.commit(...messagesFor(lane.name))
  const stopped = relay.stop({ graceMs: endless })
  proxy.resume()
  await stopped
  await expectAllCarried(relay)
})

test('a grace without an end is one, and one that is no number is refused', async () => {
  await lane.commit(...messagesFor(lane.name))
  const relay = lane.relay()
  await relay.start()
  await expect(Reflect.apply(relay.stop, null, [{}])).rejects.toThrow(
    expect.objectContaining({ code: 'option_invalid', message: 'graceMs: expected milliseconds, got undefined' }),
  )
  await expect(Reflect.apply(relay.stop, null, [{ graceMs: '5' }])).rejects.toThrow('expected milliseconds, got string')
  await expect(Reflect.apply(relay.stop, null, [{ grace: 5 }])).rejects.toThrow(
    expect.objectContaining({ code: 'option_invalid', message: expect.stringMatching(/^grace: stop has no such/) }),
  )
  await relay.stop({ graceMs: Number.POSITIVE_INFINITY })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

test('one whose broker does not come in time leaves the rows, and does not say that its lane was emptied', async () => {
  await lane.commit(...messagesFor(lane.name))
  const relay = lane.relay({ rabbitmqUrl: 'amqp://127.0.0.1:9' })
  await relay.start()
  await relay.stop({ graceMs: 300 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(await lane.rows()).toBe(300)
})

test('one that had no broker when it was stopped carries what its lane holds, if the broker comes in time', async () => {
  await lane.commit(...messagesFor(lane.name))
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  proxy.cut()
  const relay = lane.relay({ rabbitmqUrl: proxy.url })
  await relay.start()
  const stopped = relay.stop({ graceMs: 10_000 })
  proxy.resume()
  await stopped
  expect(relay.saw('relay.owned')).toHaveLength(1)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
})

test('one that never had a broker does not wait for it with an empty lane', async () => {
  await lane.commit({ routingKey: lane.name, payload: 'later', delayMs: 3_600_000 })
  const relay = lane.relay({ rabbitmqUrl: 'amqp://127.0.0.1:9' })
  await relay.start()
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

test('one that lost its broker does not wait for it with an empty lane', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs: 600_000, brokerDeadlineMs: 600_000 })
  await relay.start()
  await waitFor(() => relay.saw('relay.owned').length > 0)
  proxy.cut()
  await waitFor(() => relay.saw('broker.unavailable').length > 0)
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

test('one that lost its broker waits for it with a row, and ends once a neighbour has published that', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ rabbitmqUrl: proxy.url, brokerDeadlineMs: 100 })
  await relay.start()
  proxy.cut()
  await waitFor(() => relay.saw('broker.lost').length > 0)
  await lane.commit(...messagesFor(lane.name))
  await waitFor(() => relay.saw('relay.released').length > 0)
  const stopped = relay.stop({ graceMs: endless })
  const neighbour = lane.relay()
  await neighbour.start()
  await stopped
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(300)
})

test('one whose broker is away waits for it with a scheduled row that is due', async () => {
  await lane.commit({ routingKey: lane.name, payload: 'due', delayMs: 1 })
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  proxy.cut()
  const relay = lane.relay({ rabbitmqUrl: proxy.url })
  await relay.start()
  const stopped = relay.stop({ graceMs: endless })
  proxy.resume()
  await stopped
  expect(await lane.count(lane.name)).toBe(1)
})

test('one waits for what is due and locked as long as it may, and does not say that its lane was emptied', async () => {
  await lane.commit({ routingKey: lane.name, payload: 'due', availableAt: new Date(0) })
  const other = new pg.Client(database.url)
  await other.connect()
  onTestFinished(() => other.end())
  await other.query('begin; select from outbox_scheduled for update')
  const [one, heir] = [lane.relay(), lane.relay()]
  await one.start()
  await one.stop({ graceMs: 300 })
  expect(one.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  await heir.start()
  const stopped = heir.stop({ graceMs: endless })
  await other.query('rollback')
  await stopped
  expect(heir.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(1)
})

test('one that had no Postgres when it was stopped carries what its lane holds, if Postgres comes in time', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url })
  await relay.start()
  await waitFor(() => relay.saw('relay.owned').length > 0)
  proxy.cut()
  await waitFor(() => relay.saw('database.unavailable').length > 0)
  await lane.commit(...messagesFor(lane.name))
  const stopped = relay.stop({ graceMs: endless })
  proxy.resume()
  await stopped
  await expectAllCarried(relay)
})

test('one whose Postgres does not come in time does not say that its lane was emptied', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url })
  await relay.start()
  proxy.cut()
  await waitFor(() => relay.saw('database.unavailable').length > 0)
  expect(await stopping(relay)).toBeLessThan(withinMs)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
})

test('one that loses its session in its stop, and its lane to somebody else, has nothing more to do', async () => {
  await lane.commit(...messagesFor(lane.name, 3_000))
  const relay = lane.relay({ window: 1 })
  await relay.start()
  await waitFor(async () => (await lane.rows()) < 3_000)
  const heir = new pg.Client(database.url)
  await heir.connect()
  onTestFinished(() => heir.end())
  const inherited = heir.query('select pg_advisory_lock($1, $2)', [lockClasses.owner, lane.id])
  const stopped = relay.stop({ graceMs: endless })
  await lane.db.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
    `outbox relay ${lane.name}`,
  ])
  await Promise.all([inherited, stopped])
  expect(relay.saw('relay.waiting')).toHaveLength(1)
  expect(await lane.rows()).toBeGreaterThan(0)
})

test('a relay that waits for an open transaction before it may sleep stops at once', async () => {
  await lane.db.query('begin')
  await lane.db.query('select pg_current_xact_id()')
  const relay = lane.relay()
  await relay.start()
  await waitFor(() => lane.isAsleep())
  await relay.stop({ graceMs: 20_000 })
  await lane.db.query('rollback')
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

const graceMs = 300
/** What a stop may take beyond its grace: the last statements, and three goodbyes that nobody answers. */
const withinMs = graceMs + 4_000

/** How long the relay took to stop, milliseconds. */
const stopping = async (relay: ReturnType<typeof lane.relay>): Promise<number> => {
  const startedMs = performance.now()
  await relay.stop({ graceMs })
  return performance.now() - startedMs
}

test('a relay that connects to a RabbitMQ which says nothing stops in its grace, and hangs up', async () => {
  await lane.commit(...messagesFor(lane.name))
  const silent = await startSilentServer()
  onTestFinished(silent.stop)
  const relay = lane.relay({ rabbitmqUrl: `amqp://127.0.0.1:${silent.port}` })
  await relay.start()
  await waitFor(() => silent.connections() > 0)
  expect(await stopping(relay)).toBeLessThan(withinMs)
  await waitFor(() => silent.connections() === 0)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
})

test('a relay that connects to a Postgres which says nothing stops in its grace, and hangs up', async () => {
  const silent = await startSilentServer()
  onTestFinished(silent.stop)
  const relay = lane.relay({ databaseUrl: `postgres://app@127.0.0.1:${silent.port}/app` })
  const started = Promise.allSettled([relay.start()])
  await waitFor(() => silent.connections() > 0)
  expect(await stopping(relay)).toBeLessThan(withinMs)
  await waitFor(() => silent.connections() === 0)
  expect(await started).toMatchObject([{ reason: { code: 'relay_stopped' } }])
})

test.each(['Postgres', 'RabbitMQ'])(
  'a relay whose %s falls silent in the middle of a pass stops in its grace',
  async (who) => {
    const proxy = await startProxy(who === 'Postgres' ? database.url : vhost.url)
    onTestFinished(proxy.stop)
    const relay = lane.relay(who === 'Postgres' ? { databaseUrl: proxy.url } : { rabbitmqUrl: proxy.url })
    await relay.start()
    await lane.commit(...messagesFor(lane.name))
    await waitFor(async () => (await lane.rows()) < 300)
    proxy.pause()
    await lane.commit(...messagesFor(lane.name))
    expect(await stopping(relay)).toBeLessThan(withinMs)
    expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
    await waitFor(() => proxy.connections() === 0)
  },
)
