import { expect, test } from 'vitest'
import { openLink } from '../../../test/open-link.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import { checkOptions } from '../options.ts'
import { openConfirmChannel } from '../publish/confirm-channel.ts'
import type { PublishOutcome } from '../publish/outcome.ts'
import type { LaneChannel } from '../publish/lane-channel.ts'
import { createPayloadMemory } from './payload-memory.ts'
import { takePass } from './take-pass.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

test('while a suspect is looked for among the rows of one batch, those of the others are not read again', async () => {
  const owned = await ownLane('relay', 'key 1')
  const link = await openLink()
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  // Two rows a batch, four batches on their way. The second row closes the channel when all of them are.
  await lane.db.query(
    `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
     select $1, gen_random_uuid(), case when key = 'b' then 'missing' else '' end, $2, key, to_json(key)
     from unnest($3::text[]) as key`,
    [owned.lane, lane.name, keys],
  )
  const firstIsOut = Promise.withResolvers<void>()
  const allAreOut = Promise.withResolvers<void>()
  const mayAnswer = Promise.withResolvers<void>()
  let opened = 0
  let published = 0
  const channel: LaneChannel = {
    open: async () => {
      opened += 1
      const isFirst = opened === 1
      const real = await openConfirmChannel(link.connection(), () => {})
      return {
        ...real,
        publish: (row, onEnd) => {
          published += 1
          if (published === keys.length) allAreOut.resolve()
          if (!isFirst) real.publish(row, (outcome) => void mayAnswer.promise.then(() => onEnd(outcome)))
          else if (row.orderingKey === 'b') {
            void Promise.all([firstIsOut.promise, allAreOut.promise]).then(() => real.publish(row, onEnd))
          } else {
            real.publish(row, (outcome) => {
              onEnd(outcome)
              firstIsOut.resolve()
            })
          }
        },
      }
    },
    clear: async () => {},
    close: () => {},
    letGo: async () => false,
  }
  const settings = checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name, window: 8 })
  const leaving = new AbortController().signal
  const passing = takePass(owned, { ...settings, link, channel, memory: createPayloadMemory(), leaving })
  await expect.poll(() => owned.suspects.size, soon).toBe(1)
  // What the pass asks next would be answered before these are.
  for (let beat = 0; beat < 10; beat += 1) await owned.session.beat()
  mayAnswer.resolve()
  expect(await passing).toMatchObject({ read: 9, confirmed: 7, refused: 1, unknown: 0 })
  const taken = (await lane.take(lane.name)).map(({ payload }) => String(payload))
  expect(taken.toSorted()).toEqual(keys.filter((key) => key !== 'b'))
})

test.each(['pod', 'key'] as const)(
  'in a %s lane, rows go beside one whose confirm is late, and that goes once',
  async (kind) => {
    const owned = await ownLane('relay', kind === 'key' ? 'key 2' : lane.name)
    const link = await openLink()
    const sent: string[] = []
    const late = Promise.withResolvers<PublishOutcome>()
    const real = await openConfirmChannel(link.connection(), () => {})
    const channel: LaneChannel = {
      open: async () => ({
        ...real,
        expectConfirms: () => () => {},
        publish: (row, onEnd) => {
          sent.push(String(row.payload))
          if (row.routingKey === 'late') void late.promise.then(onEnd)
          else real.publish(row, onEnd)
        },
      }),
      clear: async () => {},
      close: () => {},
      letGo: async () => false,
    }
    const add = (...rows: { to?: string; key: string; payload: string }[]) =>
      lane.db.query(
        `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
       select $1, gen_random_uuid(), '', coalesce("to", $4), case when $3 then key end, to_json(payload)
       from json_to_recordset($2::json) as rows ("to" text, key text, payload text)`,
        [owned.lane, JSON.stringify(rows), kind === 'key', lane.name],
      )
    const left = async () => {
      const { rows } = await lane.db.query('select payload from outbox_message where lane = $1 order by id', [
        owned.lane,
      ])
      return rows.map(({ payload }) => payload)
    }
    await add({ to: 'late', key: 'a', payload: 'late' }, { key: 'b', payload: 'beside it' })
    const settings = checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name })
    const leaving = new AbortController().signal
    const passing = takePass(owned, { ...settings, link, channel, memory: createPayloadMemory(), leaving })
    await expect.poll(left, soon).toEqual(['late'])
    await add({ key: 'b', payload: 'alone' })
    await expect.poll(left, soon).toEqual(['late'])
    await add({ key: 'a', payload: 'behind it' }, { key: 'b', payload: 'last' }, { key: 'c', payload: 'of its own' })
    const behind = kind === 'key' ? ['behind it'] : []
    await expect.poll(left, soon).toEqual(['late', ...behind])
    late.resolve({ kind: 'unknown', cause: 'no confirm' })
    expect(await passing).toMatchObject({ refused: 0, unknown: 1 })
    const all = ['late', 'beside it', 'alone', 'last', 'of its own', ...(kind === 'key' ? [] : ['behind it'])]
    expect(sent.map((payload) => String(JSON.parse(payload))).toSorted()).toEqual(all.toSorted())
  },
)
