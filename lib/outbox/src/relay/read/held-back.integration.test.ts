import { afterEach, expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { readKeyLane } from './read-key-lane.ts'
import { readFromFloor, readOn } from './read-lane.ts'

useLane()

afterEach(() => lane.db.query('truncate outbox_message'))

const heldBack = 40_000

const long = { firstMs: 600_000, capMs: 600_000 }

/** With every parameter searched from its beginning a read takes this long and longer. */
const quadraticMs = 3_000

const insert = async (owned: OwnedLane, count: number, name: string) => {
  const { rows } = await lane.db.query<{ id: string; name: string }>(
    `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
     select $1, gen_random_uuid(), name, 'any', name, '1'
     from (select $3 || number as name from generate_series(1, $2::int) as number) as names
     returning id, exchange as name`,
    [owned.lane, count, name],
  )
  return rows.map((row) => ({ id: BigInt(row.id), name: row.name }))
}

/** The plans of Postgres differ by whether it knows the parameters, and by whether they seem to fit in its memory. */
const planWith = ({ session }: OwnedLane, mode: string) => {
  const text = `select set_config('plan_cache_mode', $1, false), set_config('work_mem', '64kB', false)`
  return session.query({ name: 'plan_with', text }, [mode])
}

const quickly = async <T>(work: () => Promise<T>): Promise<T> => {
  const startedMs = performance.now()
  const result = await work()
  expect(performance.now() - startedMs).toBeLessThan(quadraticMs)
  return result
}

const plans = ['force_generic_plan', 'force_custom_plan']

test.each(plans)(
  'of many rows that are held back, with as many closed destinations, each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', lane.name, long)
    await planWith(owned, plan)
    for (const { id, name } of await insert(owned, heldBack, 'missing')) {
      owned.held.hold({ id, key: '' }, false, { exchange: name, routingKey: 'any' })
    }
    // These are new, and to the same destinations.
    await insert(owned, heldBack, 'missing')
    expect(await quickly(() => lookAtLanes(owned.session, [owned]))).toMatchObject([{ waiting: false }])
    expect(await quickly(() => readOn(owned, 10))).toMatchObject({ rows: [] })
    expect(await quickly(() => readFromFloor(owned, 10))).toMatchObject({ rows: [] })
    await insert(owned, 1, 'good')
    expect(await quickly(() => lookAtLanes(owned.session, [owned]))).toMatchObject([{ waiting: true }])
    expect(await quickly(() => readFromFloor(owned, 10))).toMatchObject({ rows: [{ exchange: 'good1' }] })
  },
  60_000,
)

test.each(plans)(
  'of many keys that are held back each is left out at once: %s',
  async (plan) => {
    const owned = await ownLane('reader', 'key 1', long)
    await planWith(owned, plan)
    for (const { id, name } of await insert(owned, heldBack, 'missing')) owned.held.hold({ id, key: name }, false)
    expect(await quickly(() => lookAtLanes(owned.session, [owned]))).toMatchObject([{ waiting: false }])
    expect(await quickly(() => readKeyLane(owned, 10))).toMatchObject({ rows: [] })
    await insert(owned, 1, 'good')
    expect(await quickly(() => lookAtLanes(owned.session, [owned]))).toMatchObject([{ waiting: true }])
    expect(await quickly(() => readKeyLane(owned, 10))).toMatchObject({ rows: [{ orderingKey: 'good1' }] })
  },
  60_000,
)
