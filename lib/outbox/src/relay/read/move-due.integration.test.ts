import { expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import { moveDue } from './move-due.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

const due = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ routingKey: lane.name, payload: index, availableAt: new Date(0) }))

test('of two that move the same rows at the same moment each row is moved by one', async () => {
  await lane.commit(...due(100))
  const [one, other] = await Promise.all([ownLane('mover'), ownLane('mover')])
  // Both have begun, and both wait for the first row.
  await lane.db.query('begin')
  await lane.db.query('select from outbox_scheduled for update')
  const moving = Promise.all([moveDue(one, 60), moveDue(other, 60)])
  const waiting = () =>
    lane.db.query(`select from pg_stat_activity where application_name = 'mover' and wait_event_type = 'Lock'`)
  await expect.poll(async () => (await waiting()).rowCount, soon).toBe(2)
  await lane.db.query('rollback')
  const [first, second] = await moving
  expect(await lane.rows()).toBe(first + second)
  expect(await lane.rows('outbox_scheduled')).toBe(100 - first - second)
  const { rows } = await lane.db.query('select count(distinct message_id)::int as messages from outbox_message')
  expect(rows).toEqual([{ messages: first + second }])
})

test('ten thousand rows that are due at once go over in batches, each by one statement', async () => {
  await lane.commit(...due(10_000))
  const relay = lane.relay({ window: 2_000 })
  await relay.start()
  await expect.poll(() => lane.rows('outbox_scheduled'), soon).toBe(0)
  await expect
    .poll(() => relay.saw('relay.moved'), soon)
    .toEqual(Array.from({ length: 20 }, () => ({ kind: 'relay.moved', count: 500 })))
})
