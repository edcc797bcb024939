import { enqueue } from '@esteira/outbox'
import { expect, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, db, environment, useServices } from '../test/use-services.ts'

/** What Postgres allows a silent session, what RabbitMQ allows a silent connection, and a sweep. */
const soon = { timeout: 40_000, interval: 50 }

/** A key's rows go out one at a time; on a busy machine the writer would leave the relay behind for minutes. */
const mostAhead = 100

useServices()

test('an owner that is frozen loses its lanes to an heir, and publishes nothing out of order when it wakes', async () => {
  await channel.assertQueue('keyed')
  const received = new Map<string, number[]>()
  await channel.consume(
    'keyed',
    (message) => {
      if (message === null) return
      const { key, number } = JSON.parse(message.content.toString())
      received.set(key, [...(received.get(key) ?? []), number])
    },
    { noAck: true },
  )
  let number = 0
  /** Four keys, in as many lanes or fewer, each row with a number above those before. */
  const write = async () => {
    number += 1
    await db.query('begin')
    await enqueue(
      db,
      ['a', 'b', 'c', 'd'].map((key) => ({ routingKey: 'keyed', payload: { key, number }, orderingKey: key })),
    )
    await db.query('commit')
  }
  const newest = () => Math.min(...['a', 'b', 'c', 'd'].map((key) => received.get(key)?.at(-1) ?? 0))
  const writeUntil = (isOver: () => boolean) =>
    expect
      .poll(async () => {
        for (let row = 0; row < 20 && number - newest() < mostAhead; row += 1) await write()
        return isOver()
      }, soon)
      .toBe(true)

  const owner = startSidecar(environment('owner'))
  await expect.poll(() => owner.saw('relay.owned').length, soon).toBe(10)
  await writeUntil(() => newest() > 100)
  owner.child.kill('SIGSTOP')
  const frozenAt = number
  const heir = startSidecar(environment('heir'))
  await writeUntil(() => newest() > frozenAt)
  owner.child.kill('SIGCONT')
  await expect.poll(() => owner.saw('relay.lost').length, soon).toBe(1)
  await writeUntil(() => newest() > frozenAt + 200)
  await expect.poll(newest, soon).toBe(number)
  for (const numbers of received.values()) {
    // What was out when the owner froze may come again, under the heir, but never after a later one.
    expect(numbers).toEqual(numbers.toSorted((one, other) => one - other))
    expect(new Set(numbers).size).toBe(number)
  }
  expect(heir.saw('relay.owned').length).toBeGreaterThan(4)
}, 180_000)
