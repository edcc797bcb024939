import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { runOn, startProxy } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { startSlowProxy } from '../../../test/slow-proxy.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { openControlSession, sessionTimeoutMs } from './control-session.ts'
import { tryLaneLock } from './lane-lock.ts'

const soon = { timeout: 15_000, interval: 20 }

useLane()

/**
 * A way to Postgres on which clients get other process ids than their backends have. That is all that a client sees of
 * PgBouncer, which was tried by hand (1.18, in transaction and in session mode).
 */
const startPooler = async (databaseUrl: string): Promise<string> => {
  const { port, hostname } = new URL(databaseUrl)
  const server = createServer((client) => {
    const backend = connect(Number(port), hostname)
    client.pipe(backend)
    backend.on('data', (bytes) => {
      // BackendKeyData: 'K', its length 12, the process id, the secret.
      const key = bytes.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]))
      if (key >= 0) bytes.writeInt32BE(bytes.readInt32BE(key + 5) + 1, key + 5)
      client.write(bytes)
    })
    for (const [one, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the pooler has no port')
  const url = new URL(databaseUrl)
  url.port = String(address.port)
  return url.href
}

test('a pooler in between is refused, with the reason', async () => {
  const relay = lane.relay({ databaseUrl: await startPooler(database.url) })
  await expect(relay.start()).rejects.toThrow(
    expect.objectContaining({ code: 'pooler_in_between', message: expect.stringContaining('direct connection') }),
  )
  expect(relay.saw('relay.stopped')).toHaveLength(1)
})

test('a relay that hears nothing from Postgres any more loses its lane to a neighbour', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
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
}, 60_000)

test('a session is kept that has nothing to say, and is not fresh once it is not answered', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
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
}, 60_000)

test('an answer that comes late does not make a session fresh: it tells of the time when it was asked for', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
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

test.each([
  ['read_from_floor', 'pod'],
  ['read_firsts', 'key'],
])(
  'rows whose read took longer than a session is fresh are published all the same: %s',
  async (statement, kind) => {
    const proxy = await startSlowProxy(database.url, { statement, delayMs: 0.75 * sessionTimeoutMs })
    const relay = lane.relay({ databaseUrl: proxy.url, lane: kind === 'key' ? 'key 1' : lane.name })
    await lane.db.query(
      `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
       select id, gen_random_uuid(), $1, case when kind = 'key' then 'a' end, '1' from outbox_lane where name = $2`,
      [lane.name, kind === 'key' ? 'key 1' : lane.name],
    )
    expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
    await relay.stop({ graceMs: 0 })
    await proxy.stop()
  },
  30_000,
)

test.each([
  ['has a transaction open', 'begin'],
  ['is in the middle of an answer', `select repeat('x', 1000000) from generate_series(1, 100)`],
])(
  'a frozen session that %s loses its lanes as well',
  async (_, text) => {
    const proxy = await startProxy(database.url)
    onTestFinished(proxy.stop)
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
  },
  60_000,
)

test('how the program around a relay reads columns does not reach into it', async () => {
  const { BOOL, BYTEA, INT8, INT4, JSON: json, FLOAT8, TEXT, UUID } = pg.types.builtins
  for (const type of [BOOL, BYTEA, INT8, INT4, json, FLOAT8, TEXT, UUID]) {
    const before = pg.types.getTypeParser(type)
    pg.types.setTypeParser(type, () => 'of the program')
    onTestFinished(() => pg.types.setTypeParser(type, before))
  }
  await lane.commit(
    { routingKey: lane.name, payload: { n: 1 }, headers: { tenant: 'a' } },
    { routingKey: lane.name, payload: Buffer.from('"bytes"') },
    { routingKey: lane.name, payload: 'due', availableAt: new Date(0) },
  )
  expect(await lane.relay().runOnce()).toMatchObject({ read: 3, confirmed: 3 })
  const taken = await lane.take(lane.name)
  expect(taken.map(({ payload }) => payload)).toEqual([{ n: 1 }, 'bytes', 'due'])
  expect(taken[0]?.headers).toMatchObject({ tenant: 'a' })
})

test('limits that a role or a database has for its statements do not reach into a relay', async () => {
  const name = new URL(database.url).pathname.slice(1)
  const limits = [
    'statement_timeout = 50',
    'lock_timeout = 50',
    `default_transaction_isolation = 'serializable'`,
    'default_transaction_read_only = on',
  ]
  await runOn(database.url, ...limits.map((limit) => `alter database ${name} set ${limit}`))
  onTestFinished(async () => {
    await runOn(database.url, 'set default_transaction_read_only = off', `alter database ${name} reset all`)
  })
  const session = await openControlSession(database.url, 'limited')
  const { rows } = await session.query({ text: `select current_setting('transaction_isolation') as isolation` }, [])
  expect(rows).toEqual([{ isolation: 'read committed' }])
  await session.query({ text: 'select pg_sleep(0.2)' }, [])
  await session.query({ text: 'delete from outbox_parked' }, [])
  await lane.db.query('begin')
  await lane.db.query('lock table outbox_parked')
  const waiting = session.query({ text: 'lock table outbox_parked in access share mode' }, []).catch(String)
  await lane.db.query('select pg_sleep(0.2)')
  await lane.db.query('rollback')
  expect(await waiting).not.toContain('lock timeout')
  await session.close()
})
