import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { runOn } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { openControlSession } from './control-session.ts'

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
