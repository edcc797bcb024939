import { startProxy } from '@esteira/test/support'
import pg from 'pg'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { lockClasses } from '../own/lane-lock.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'

/** Far beyond each test: what goes out was rung for. */
const pollMs = 600_000
const soon = { timeout: 10_000, interval: 10 }
const longBackoff = { firstMs: pollMs, capMs: pollMs }

useLane()

let writer: pg.Client
beforeEach(async () => {
  writer = new pg.Client(database.url)
  await writer.connect()
})
afterEach(() => writer.end())

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

/**
 * Long enough for a relay that would sleep, were it allowed to, whatever the machine: it has asked for something since,
 * twice. One that does sleep asks whether its session lives. The transaction is held open meanwhile.
 */
const holdOpen = async (): Promise<void> => {
  for (const _ of ['the look or the mark that is under way', 'a look after it']) {
    const before = await lastAskedAt()
    await expect.poll(lastAskedAt, soon).not.toBe(before)
  }
}

/** When the relay's session last asked for something. */
const lastAskedAt = async (): Promise<string | undefined> => {
  const { rows } = await lane.db.query<{ at: string }>(
    'select query_start::text as at from pg_stat_activity where application_name = $1',
    [`outbox relay ${lane.name}`],
  )
  return rows[0]?.at
}

/** The relay has heard of a row, so it listens, and sleeps again. */
const fallsAsleep = async (): Promise<void> => {
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await lane.commit(message('heard'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
}

/** A relay that is not done with a row, since the confirm is held back until what is returned is called. */
const keepAtWork = async (): Promise<() => void> => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ pollMs, rabbitmqUrl: proxy.url })
  await relay.start()
  await fallsAsleep()
  proxy.pause()
  await lane.commit(message('in flight'))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  return proxy.resume
}

/** Whether the session of a relay has asked for nothing that long. */
const isQuiet = async (home: string, time: string): Promise<boolean | undefined> => {
  const { rows } = await lane.db.query<{ quiet: boolean }>(
    'select clock_timestamp() - query_start > $2::interval as quiet from pg_stat_activity where application_name = $1',
    [`outbox relay ${home}`, time],
  )
  return rows[0]?.quiet
}

/** How often somebody rang, as a session of our own hears it. */
const hearRings = async () => {
  const rings: string[] = []
  lane.db.on('notification', ({ channel }) => rings.push(channel))
  await lane.db.query(`listen outbox_lane_${lane.id}`)
  return rings
}

test.each(['read committed', 'repeatable read', 'serializable'])(
  'a transaction that asked for the doorbell before it was taken, and commits after it, is not slept over: %s',
  async (isolation) => {
    const relay = lane.relay({ pollMs })
    await writer.query(`begin isolation level ${isolation}`)
    // No relay sleeps yet, so this insert rings for nobody.
    await enqueue(writer, message('held open'), { lane: lane.id })
    await relay.start()
    await expect.poll(() => lane.isAsleep(), soon).toBe(true)
    await holdOpen()
    await writer.query('commit')
    await expect.poll(() => lane.rows(), soon).toBe(0)
  },
)

test.each(['repeatable read', 'serializable'])(
  'a transaction whose snapshot is older than the sleep of its relay rings all the same: %s',
  async (isolation) => {
    const relay = lane.relay({ pollMs })
    await writer.query(`begin isolation level ${isolation}`)
    // The snapshot is taken here. There is no xid yet that a relay could wait for.
    await writer.query('select from outbox_lane')
    await relay.start()
    await expect.poll(() => lane.isAsleep(), soon).toBe(true)
    await holdOpen()
    await enqueue(writer, message('older snapshot'), { lane: lane.id })
    await writer.query('commit')
    await expect.poll(() => lane.rows(), soon).toBe(0)
  },
)

test('a writer that asked for the doorbell before it was taken, while others asked too, is not slept over', async () => {
  const letConfirm = await keepAtWork()
  // As a writer who asks for it does, but for as long as the test wants.
  await lane.db.query('select pg_advisory_lock_shared($1, $2)', [lockClasses.sleeper, lane.id])
  letConfirm()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await writer.query('begin')
  await enqueue(writer, message('asked before'), { lane: lane.id })
  await lane.db.query('select pg_advisory_unlock_shared($1, $2)', [lockClasses.sleeper, lane.id])
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await holdOpen()
  await writer.query('commit')
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

test('the younger of two writers that asked for the doorbell before it was taken is not slept over when the other ends first', async () => {
  const older = new pg.Client(database.url)
  await older.connect()
  onTestFinished(() => older.end())
  for (const client of [older, writer]) {
    await client.query('begin')
    await enqueue(client, message('asked before'), { lane: lane.id })
  }
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await holdOpen()
  // Not committed: its row would be work, and after that the doorbell is taken anew.
  await older.query('rollback')
  await holdOpen()
  await writer.query('commit')
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
})

test('a relay sleeps beside a transaction that has written something else, and is rung for by it later', async () => {
  await lane.db.query('create table other (name text)')
  const relay = lane.relay({ pollMs })
  await writer.query('begin')
  await writer.query(`insert into other values ('written')`)
  await relay.start()
  // One that waits for that transaction looks several times a second, for many seconds.
  await expect.poll(() => isQuiet(lane.name, '1 second'), soon).toBe(true)
  await enqueue(writer, message('after all'), { lane: lane.id })
  await writer.query('commit')
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await lane.db.query('drop table other')
})

test('a row with a delay that is written while the relay sleeps goes out when it is due', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await fallsAsleep()
  await lane.commit({ ...message('soon'), delayMs: 300 })
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
})

test('only a lane whose relay sleeps is rung for', async () => {
  const rings = await hearRings()
  await lane.commit(message('nobody is there'))
  await writer.query('select pg_advisory_lock($1, $2)', [lockClasses.sleeper, lane.id])
  await lane.commit(message('asleep'), message('asleep too'))
  await writer.query('select pg_advisory_unlock($1, $2)', [lockClasses.sleeper, lane.id])
  await lane.commit(message('awake'))
  expect(rings).toEqual([`outbox_lane_${lane.id}`])
})

test('a relay that was woken gives the doorbell back, and takes it again when it has nothing to do', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  const rings = await hearRings()
  // Until the test's time is over: a commit that meets the relay awake rings for nobody.
  while (rings.length < 3) {
    await expect.poll(() => lane.isAsleep(), soon).toBe(true)
    await lane.commit(message(rings.length))
    await expect.poll(() => lane.rows(), soon).toBe(0)
  }
})

test('the doorbell is free while the relay is at work', async () => {
  const letConfirm = await keepAtWork()
  expect(await lane.isAsleep()).toBe(false)
  letConfirm()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
})

test('a doorbell that was lost with its session is taken again', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  // What a crash of Postgres does to it: the sessions end.
  await lane.db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name in ($1, $2)`,
    ['relay', 'bell'].map((session) => `outbox ${session} ${lane.name}`),
  )
  await expect.poll(() => relay.saw('bell.listening').length, soon).toBe(2)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await lane.commit(message('after'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

/** The sessions that hold the lane's doorbell. */
const sleepingSessions = async (): Promise<{ pid: number }[]> => {
  const { rows } = await lane.db.query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory' and classid::bigint = $1 and objid::bigint = $2 and granted
       and database = (select oid from pg_database where datname = current_database())`,
    [lockClasses.sleeper, lane.id],
  )
  return rows
}

test('a relay that gives up a lane in which it sleeps leaves the doorbell to the next one', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const [first, second] = [
    lane.relay({ pollMs, rabbitmqUrl: proxy.url, brokerDeadlineMs: 100 }),
    lane.relay({ pollMs }),
  ]
  await first.start()
  let former: { pid: number }[] = []
  await expect.poll(async () => (former = await sleepingSessions()).length, soon).toBe(1)
  await second.start()
  await proxy.stop()
  await expect.poll(() => second.saw('relay.owned').length, soon).toBe(1)
  expect(first.saw('relay.released')).toHaveLength(1)
  await expect.poll(sleepingSessions, soon).toEqual([expect.not.objectContaining({ ...former[0] })])
})

test.each(['unkeyed', 'keyed', 'parked', 'untried'])(
  'a relay whose rows are all held back sleeps: %s',
  async (kind) => {
    const home = kind === 'unkeyed' || kind === 'untried' ? lane.name : 'key 1'
    const relay = lane.relay({
      pollMs,
      lane: home,
      // The first row closes the destination of the others before they are read.
      window: kind === 'untried' ? 1 : 2_000,
      parkAfter: kind === 'parked' ? 1 : 10,
      refusedBackoff: longBackoff,
    })
    await lane.db.query(
      `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
     select id, gen_random_uuid(), 'amq.direct', 'nobody', case when kind = 'key' then $2 end, number::text::json
     from outbox_lane, generate_series(1, 3) as number where name = $1`,
      [home, kind],
    )
    await relay.start()
    await expect.poll(() => relay.saw(kind === 'parked' ? 'relay.parked' : 'relay.refused').length, soon).toBe(1)
    // One that looks again and again asks more often than this. One that sleeps beats every other second.
    await expect.poll(() => isQuiet(home, '1 second'), soon).toBe(true)
    await lane.db.query('truncate outbox_message, outbox_parked')
  },
)

test.each(['unkeyed', 'keyed'])('a refused row that somebody deletes lets its relay sleep: %s', async (kind) => {
  const home = kind === 'unkeyed' ? lane.name : 'key 1'
  const relay = lane.relay({ pollMs, lane: home, refusedBackoff: { firstMs: 100, capMs: 100 } })
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
     select id, gen_random_uuid(), 'nobody', case when kind = 'key' then 'a' end, '1' from outbox_lane where name = $1`,
    [home],
  )
  await relay.start()
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBeGreaterThan(1)
  await lane.db.query('truncate outbox_message')
  await expect.poll(() => isQuiet(home, '1 second'), soon).toBe(true)
})

test('a relay looks at times, not all the time, whether a writer has given the key of a due row back', async () => {
  await writer.query('begin')
  await enqueue(writer, { ...message('not committed'), orderingKey: 'a' })
  await lane.db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, ordering_key, payload, available_at)
     select id, gen_random_uuid(), $1, 'a', '"due"', now() from outbox_lane where name = 'key 1'`,
    [lane.name],
  )
  const relay = lane.relay({ pollMs, lane: 'key 1' })
  await relay.start()
  await expect.poll(() => isQuiet('key 1', '100 milliseconds'), soon).toBe(true)
  expect(await lane.count(lane.name)).toBe(0)
  await writer.query('rollback')
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
})

test('a relay that is to stop looks at times, not all the time, whether a row that is due and locked can be had', async () => {
  await lane.commit({ ...message('locked'), availableAt: new Date(0) })
  await writer.query(`begin; select from outbox_scheduled where lane = ${lane.id} for update`)
  const relay = lane.relay({ pollMs })
  await relay.start()
  const stopped = relay.stop({ graceMs: 60_000 })
  await expect.poll(() => isQuiet(lane.name, '300 milliseconds'), soon).toBe(true)
  await writer.query('rollback')
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(1)
})

test('a row that somebody has put off without end keeps no others from going out', async () => {
  await lane.db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, payload, available_at)
     values ($1, gen_random_uuid(), $2, '"never"', 'infinity')`,
    [lane.id, lane.name],
  )
  const relay = lane.relay({ pollMs })
  await relay.start()
  await fallsAsleep()
  expect(relay.saw('relay.failed')).toEqual([])
})
