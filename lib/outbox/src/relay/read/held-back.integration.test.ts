import { explainStatements } from '@esteira/test/support'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { readKeyLane } from './read-key-lane.ts'
import { readFromFloor, readOn } from './read-lane.ts'

useLane()

afterEach(() => lane.db.query('truncate outbox_message'))

const fewer = 5_000
const more = 40_000

const long = { firstMs: 600_000, capMs: 600_000 }

/** Eight times as many are eight times as many rows to a plan, and 64 times if it passes all of them for each. */
const atMost = 12

/** Each has a name of its own for a key, and goes to an exchange of that name unless one is given. */
const insert = async (owned: OwnedLane, count: number, name: string, exchange: string | null = null) => {
  const { rows } = await lane.db.query<{ id: string; name: string }>(
    `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
     select $1, gen_random_uuid(), coalesce($4, name), 'any', name, '1'
     from (select $3 || number as name from generate_series(1, $2::int) as number) as names
     returning id, ordering_key as name`,
    [owned.lane, count, name, exchange],
  )
  return rows.map((row) => ({ id: BigInt(row.id), name: row.name }))
}

/** The plans of Postgres differ by whether it knows the parameters, and by whether they seem to fit in its memory. */
const planWith = ({ session }: OwnedLane, mode: string) => {
  const text = `select set_config('plan_cache_mode', $1, false), set_config('work_mem', '64kB', false)`
  return session.query({ name: 'plan_with', text }, [mode])
}

type Works = Record<string, () => Promise<unknown>>

/** What counts for a session how many rows each of the looks and reads has in its hands. */
const countingFor = async ({ session }: OwnedLane) => {
  const explained = await explainStatements((text) => session.query({ text }, []))
  return async (works: Works): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {}
    for (const [name, work] of Object.entries(works)) {
      const before = explained().length
      await work()
      const ran = explained().slice(before)
      // A list in a parameter is searched from its beginning for every row, which no plan counts.
      expect(ran.flatMap(({ filters }) => filters).filter((filter) => /(ALL|ANY) \(\$/.test(filter))).toEqual([])
      counts[name] = ran.reduce((sum, { rows }) => sum + rows, 0)
    }
    return counts
  }
}

/** Those of the second that had more than `atMost` times as many rows in their hands as the first, with both. */
const heavierThan = (few: Record<string, number>, many: Record<string, number>): [string, number, number][] =>
  Object.entries(many)
    .map(([name, rows]): [string, number, number] => [name, few[name] ?? 0, rows])
    .filter(([, before, rows]) => rows > atMost * before)

const plans = ['force_generic_plan', 'force_custom_plan']

test.each(plans)(
  'of many rows that are held back, with as many closed destinations, each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', lane.name, long)
    await planWith(owned, plan)
    const count = await countingFor(owned)
    const leaveOut = async (rows: number) => {
      for (const { id, name } of await insert(owned, rows, 'missing')) {
        owned.held.hold({ id, key: '' }, 'unroutable', { exchange: name, routingKey: id % 2n === 0n ? null : 'any' })
      }
      // These are new, and to the same destinations.
      await insert(owned, rows, 'missing')
      return count({
        look: async () => expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }]),
        readOn: async () => expect(await readOn(owned, 10)).toMatchObject({ rows: [] }),
        readFromFloor: async () => expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [] }),
      })
    }
    // The most that may be closed, and an eighth of them.
    const few = await leaveOut(1_250)
    expect(heavierThan(few, await leaveOut(10_000))).toEqual([])
    expect(owned.held.closed()).toHaveLength(10_000)
    await insert(owned, 1, 'good')
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
    expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [{ exchange: 'good1' }] })
  },
  60_000,
)

test.each(plans)(
  'of many keys that are held back each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', 'key 1', long)
    await planWith(owned, plan)
    const count = await countingFor(owned)
    const leaveOut = async (rows: number) => {
      for (const { id, name } of await insert(owned, rows, 'missing')) owned.held.hold({ id, key: name }, 'unroutable')
      return count({
        look: async () => expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }]),
        readKeyLane: async () => expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] }),
      })
    }
    const few = await leaveOut(fewer)
    // What Postgres knows of the table is of when it was all but empty.
    await lane.db.query(`delete from outbox_message where ordering_key <> 'missing1'`)
    await lane.db.query('analyze outbox_message')
    expect(heavierThan(few, await leaveOut(more))).toEqual([])
    await insert(owned, 1, 'good')
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
    expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'good1' }] })
  },
  60_000,
)

test.each(plans)(
  'of many keys whose next rows are to a closed destination each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', 'key 1', long)
    await planWith(owned, plan)
    const count = await countingFor(owned)
    const closed = { exchange: 'closed', routingKey: 'any' }
    const leaveOut = async (rows: number) => {
      const [first] = await insert(owned, rows, `${rows} missing`, 'closed')
      owned.held.hold({ id: first?.id ?? 0n, key: first?.name ?? '' }, 'unroutable', closed)
      return count({
        look: async () => expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }]),
        readKeyLane: async () => expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] }),
      })
    }
    const few = await leaveOut(fewer)
    expect(heavierThan(few, await leaveOut(more))).toEqual([])
    expect(owned.held.waitingKeys()).toHaveLength(1)
    await insert(owned, 1, 'good')
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
    expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'good1' }] })
  },
  60_000,
)

test.each(plans)(
  'of many keys that rest, with as many queues that took rows as are remembered, each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', 'key 1', long)
    await planWith(owned, plan)
    const count = await countingFor(owned)
    owned.keyRounds.startPass()
    owned.keyRounds.read('', false)(1)
    for (let number = 1; number <= 1_000; number += 1) owned.keyRounds.took(`queue ${number}`)
    const leaveOut = async (rows: number) => {
      await insert(owned, rows, `${rows} missing`, '')
      return count({
        look: async () => expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }]),
        readKeyLane: async () => expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] }),
      })
    }
    const few = await leaveOut(fewer)
    expect(heavierThan(few, await leaveOut(more))).toEqual([])
    await insert(owned, 1, 'good')
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
    expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'good1' }] })
  },
  60_000,
)

test('rows that are to be tried again leave half of a read to those that were never tried', async () => {
  const owned = await ownLane('reader', lane.name, { firstMs: 0, capMs: 0 })
  for (const { id } of await insert(owned, 30, 'refused')) owned.held.hold({ id, key: '' }, 'unroutable')
  await insert(owned, 30, 'new')
  const { rows } = await readFromFloor(owned, 10)
  expect(rows.map(({ exchange }) => exchange.replace(/\d+$/, ''))).toEqual([
    ...Array.from({ length: 5 }, () => 'refused'),
    ...Array.from({ length: 5 }, () => 'new'),
  ])
})

test('suspects are read before all other rows that are to be tried again', async () => {
  const owned = await ownLane('reader', lane.name, { firstMs: 0, capMs: 0 })
  for (const { id } of await insert(owned, 30, 'refused')) owned.held.hold({ id, key: '' }, 'unroutable')
  for (const { id } of await insert(owned, 3, 'suspect')) owned.suspects.set(id, 'from its lane')
  const { rows } = await readFromFloor(owned, 10)
  expect(rows.slice(-3).map(({ exchange }) => exchange)).toEqual(['suspect1', 'suspect2', 'suspect3'])
})

test('a backlog for a closed destination is passed once, and not again by each read', async () => {
  const backlog = 5_000
  const owned = await ownLane('reader', lane.name, long)
  const [first] = await insert(owned, backlog, 'closed', 'closed')
  owned.held.hold({ id: first?.id ?? 0n, key: '' }, 'unroutable', { exchange: 'closed', routingKey: 'any' })
  expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [] })
  await lane.forgetReads()
  for (let turn = 0; turn < 10; turn += 1) expect(await readOn(owned, 10)).toMatchObject({ rows: [] })
  await insert(owned, 1, 'good')
  expect(await readOn(owned, 10)).toMatchObject({ rows: [{ exchange: 'good1' }] })
  await owned.session.close()
  const passed = () => lane.rowsRead('outbox_message')
  await expect.poll(passed, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0)
  // The first read's may be among them.
  expect(await passed()).toBeLessThan(4 * backlog)
})

test('a row of another key goes along with one that no queue took, in case its exchange goes by headers', async () => {
  const clock = { nowMs: 0 }
  vi.spyOn(performance, 'now').mockImplementation(() => clock.nowMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const owned = await ownLane('reader', 'key 1', { firstMs: 1_000, capMs: 1_000 })
  const [refused] = await insert(owned, 1, 'refused', 'headers')
  const [good] = await insert(owned, 5, 'good', 'headers')
  owned.held.hold({ id: refused?.id ?? 0n, key: 'refused1' }, 'unroutable', { exchange: 'headers', routingKey: 'any' })
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  clock.nowMs = 2_000
  const { rows } = await readKeyLane(owned, 10)
  expect(rows.map(({ id }) => id)).toEqual([good?.id, refused?.id])
  owned.held.tookAnother('headers', 'any')
  expect((await readKeyLane(owned, 10)).rows).toHaveLength(6)
})
