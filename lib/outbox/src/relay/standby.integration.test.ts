import { createVhost, runOn, startOwnPostgres } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { openLane } from '../../test/lane-under-test.ts'
import { startListener } from '../../test/start-listener.ts'
import { enqueue } from '../index.ts'
import type { Observation } from './observation.ts'
import { migrate } from '../migrate/index.ts'

const soon = { timeout: 30_000, interval: 50 }

/** Far beyond the test: what goes out was rung for. */
const pollMs = 600_000

test('a relay whose server comes back as a standby says so, waits, and goes on once that is promoted', async () => {
  const [postgres, vhost] = await Promise.all([startOwnPostgres(), createVhost()])
  onTestFinished(async () => {
    await Promise.all([postgres.drop(), vhost.drop()])
  })
  const inTransaction = async (work: (db: pg.Client) => Promise<unknown>) => {
    const db = new pg.Client(postgres.url)
    await db.connect()
    await db.query('begin')
    await work(db)
    await db.query('commit')
    await db.end()
  }
  await inTransaction(migrate)
  const lane = await openLane('promoted', { databaseUrl: postgres.url, rabbitmqUrl: vhost.url })
  lane.db.on('error', () => undefined)
  onTestFinished(lane.close)
  await lane.declareQueue(lane.name)
  const relay = lane.relay({ pollMs })
  await relay.start()
  await lane.commit({ routingKey: lane.name, payload: 'before' })
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)

  await postgres.restartAsStandby()
  const late = lane.relay({ lane: 'late', pollMs })
  const started = Promise.allSettled([late.start()])
  const said = {
    address: postgres.url.replace(/:[^:@]*@/, '@'),
    reason: expect.stringMatching(/takes no writes.* a relay needs the primary/),
  }
  for (const one of [relay, late]) {
    await expect.poll(() => one.saw('database.unavailable'), soon).toContainEqual(expect.objectContaining(said))
    expect(one.state().database).toBe('down')
    expect(one.saw('relay.failed')).toEqual([])
  }
  expect(late.saw('bell.listening')).toEqual([])
  const heard: Observation[] = []
  const rings: string[] = []
  const bell = startListener({
    databaseUrl: postgres.url,
    rabbitmqUrl: vhost.url,
    lane: 'bell',
    observe: (one) => heard.push(one),
  })
  bell.add(1_000, () => rings.push('rang'))
  const unheard = { kind: 'bell.lost', reason: expect.stringContaining('during recovery') }
  await expect.poll(() => heard, soon).toContainEqual(expect.objectContaining(unheard))
  rings.length = 0

  await runOn(postgres.url, 'select pg_promote()')
  expect(await started).toMatchObject([{ status: 'fulfilled' }])
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(2)
  await inTransaction((db) => enqueue(db, { routingKey: lane.name, payload: 'after' }, { lane: lane.id }))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  const ring = async () => {
    await runOn(postgres.url, 'notify outbox_lane_1000')
    return rings
  }
  await expect.poll(ring, soon).toContain('rang')
  await bell.close()
}, 120_000)
