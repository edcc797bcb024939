import pg from 'pg'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { enqueue } from '../../enqueue/enqueue.ts'
import { watchIds } from '../read/id-watch.ts'
import { stretchIds } from '../read/stretches.ts'
import { openControlSession } from './control-session.ts'
import { createOrphanSearch } from './orphan-search.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

// Those of tests before hold nothing, but would have to be looked at as well.
beforeEach(() => lane.db.query('delete from outbox_lane where id <> $1', [lane.id]))

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

const deleteRows = () => lane.db.query('delete from outbox_message where lane = $1', [lane.id])

/** A client in a transaction of its own. */
const begin = async (how = ''): Promise<pg.Client> => {
  const client = new pg.Client(database.url)
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`begin ${how}`)
  return client
}

const openSearch = async (forMs = 0) => {
  const clock = { nowMs: 0 }
  const session = await openControlSession(database.url, 'searcher')
  onTestFinished(session.close)
  const search = createOrphanSearch(session, await watchIds(session), { now: () => clock.nowMs, forMs })
  const flush = () => session.query({ text: 'select pg_stat_force_next_flush()' }, [])
  return {
    clock,
    /** The numbers of the lanes that it finds. */
    find: async () => (await search.next(4, 0n)).orphans.map((orphan) => orphan.lane),
    /** Goes on, and says how many index entries it passed. */
    passed: async () => {
      await flush()
      await lane.forgetReads()
      const { orphans, isWhole } = await search.next(4, 0n)
      expect(orphans).toEqual([])
      await flush()
      return { entries: await lane.rowsRead('outbox_message'), isWhole }
    },
  }
}

test('what a snapshot keeps of a lane without an owner is passed once, in parts, and again after a minute', async () => {
  const rows = 50_000
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), 'any', '1' from generate_series(1, $2::int)`,
    [lane.id, rows],
  )
  const pin = await begin('isolation level repeatable read')
  await pin.query('select from outbox_message limit 1')
  await deleteRows()
  const { clock, passed } = await openSearch()
  const way = async () => {
    const parts = [await passed()]
    while (parts.at(-1)?.isWhole === false) parts.push(await passed())
    return parts.map(({ entries }) => entries)
  }
  const first = await way()
  expect(Math.max(...first)).toBeLessThanOrEqual(stretchIds)
  expect(first.reduce((sum, entries) => sum + entries, 0)).toBe(rows)
  // As soon as no transaction is open any more that was when it began, of another test.
  await expect.poll(async () => Math.max(...(await way())), soon).toBe(0)
  for (let sweep = 0; sweep < 10; sweep += 1) expect(await passed()).toEqual({ entries: 0, isWhole: true })
  clock.nowMs = 60_000
  expect(await way()).toEqual(first)
  await pin.query('rollback')
})

test('a row that commits late in a lane without an owner is found, however often that was found empty', async () => {
  const { find } = await openSearch(10_000)
  const slow = await begin()
  await enqueue(slow, message('late'), { lane: lane.id })
  for (let sweep = 0; sweep < 5; sweep += 1) {
    await lane.commit(message(sweep))
    expect(await find()).toEqual([lane.id])
    await deleteRows()
    expect(await find()).toEqual([])
  }
  await slow.query('commit')
  expect(await find()).toEqual([lane.id])
  await deleteRows()
})

test('a row that commits behind a look that is on is found by the next one', async () => {
  await lane.db.query(`select setval('outbox_message_id_seq', nextval('outbox_message_id_seq') + $1)`, [3 * stretchIds])
  const slow = await begin()
  await enqueue(slow, message('late'), { lane: lane.id })
  const { find, passed } = await openSearch()
  expect(await passed()).toMatchObject({ isWhole: false })
  await slow.query('commit')
  await expect.poll(find, soon).toEqual([lane.id])
  await deleteRows()
})
