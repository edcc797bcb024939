import { expect, test } from 'vitest'
import { noLink } from '../../../test/no-link.ts'
import { OutboxError } from '../../errors.ts'
import { refusedBackoff } from '../backoff.ts'
import { createIdWatch } from '../read/id-watch.ts'
import { createOwnedLane, type Seclusion } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { createWriterWatch } from '../read/writer-watch.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import type { PublishOutcome } from './outcome.ts'
import { publishTogether } from './publish-rows.ts'
import { publishOneByOne } from './publish-suspects.ts'
import { createTurns, type Turns } from './turns.ts'

const rows = [1n, 2n, 3n, 4n].map((id): LaneRow => ({
  id,
  messageId: String(id),
  exchange: '',
  routingKey: 'orders',
  orderingKey: null,
  headers: {},
  payload: 'null',
  size: 0,
  createdAt: 0,
}))

/** A session that is known to be alive for so many looks. */
const freshFor = (looks: number): ControlSession => ({
  query: () => Promise.reject(new Error('a publish asks Postgres for nothing')),
  lost: new AbortController().signal,
  fresh: () => looks-- > 0,
  unansweredMs: () => 0,
  giveUp: () => {},
  beat: () => Promise.reject(new OutboxError('session_lost', 'Postgres ended it meanwhile')),
  close: async () => {},
})

type How = {
  closed?: boolean
  clear?: () => Promise<void>
  turn?: keyof Turns
  suspects?: Seclusion | null
}

/** Publishes the rows, in this turn or as such suspects, on a channel whose confirms come when the test wants. */
const publish = (
  session: ControlSession,
  { closed = false, clear = async () => {}, turn = 'beside', suspects = null }: How = {},
) => {
  const sent = new Map<bigint, (outcome: PublishOutcome) => void>()
  /** How long a confirm is awaited, for each time. */
  const deadlinesMs: number[] = []
  const channel: ConfirmChannel = {
    publish: ({ id }, onEnd) => void sent.set(id, onEnd),
    fault: () => null,
    supposeReached: () => {},
    closed: () => closed,
    expectConfirms: ({ deadlineMs }) => {
      deadlinesMs.push(deadlineMs)
      return () => {}
    },
    abandon: () => {},
    gone: new Promise(() => {}),
    letGo: async () => false,
  }
  const owned = createOwnedLane(
    { lane: 1, name: 'lane 1', kind: 'pod', fence: '' },
    session,
    { ids: createIdWatch(null, null), writers: createWriterWatch(session) },
    refusedBackoff,
  )
  if (suspects !== null) for (const { id } of rows) owned.suspects.set(id, suspects)
  const link = { ...noLink, up: () => true, turns: createTurns() }
  const means = {
    link,
    channel: { open: async () => channel, clear, close: () => {}, letGo: async () => false },
    confirmDeadlineMs: 60_000,
    onSend: () => undefined,
  }
  const outcomes =
    suspects === 'from all' ? publishOneByOne(owned, rows, means) : publishTogether(owned, rows, means, { turn })
  return { sent, outcomes, link, deadlinesMs, suspects: owned.suspects }
}

test('a process that was frozen between two writes writes no more, and waits for the confirms of what it wrote', async () => {
  // One look before all rows, and one before each of two.
  const { sent, outcomes } = publish(freshFor(3))
  await new Promise(setImmediate)
  expect([...sent.keys()]).toEqual([1n, 2n])
  sent.get(1n)?.({ kind: 'confirmed' })
  const isOver = await Promise.race([outcomes, new Promise((resolve) => setImmediate(resolve, 'not yet'))])
  expect(isOver).toBe('not yet')
  sent.get(2n)?.({ kind: 'confirmed' })
  expect([...(await outcomes)].map(([{ id }, { kind }]) => [id, kind])).toEqual([
    [1n, 'confirmed'],
    [2n, 'confirmed'],
  ])
})

test('a session that is not known to be alive is asked, and if it has ended nothing is written', async () => {
  const { sent, outcomes } = publish(freshFor(0))
  await expect(outcomes).rejects.toThrow(expect.objectContaining({ code: 'session_lost' }))
  expect(sent.size).toBe(0)
})

test('who is to be alone on the connection waits for what is on its way by a channel that was given up', async () => {
  const cleared = Promise.withResolvers<void>()
  const { sent, link } = publish(freshFor(5), { closed: true, clear: () => cleared.promise })
  await new Promise(setImmediate)
  for (const end of sent.values()) end({ kind: 'unknown', cause: 'no confirm' })
  const seen: string[] = []
  const alone = link.turns.alone(async () => void seen.push('alone'))
  await new Promise(setImmediate)
  seen.push('cleared')
  cleared.resolve()
  await alone
  expect(seen).toEqual(['cleared', 'alone'])
})

/** Of the message by which the broker is asked whether it answers at all. */
const nobodysId = 0n

const overdue: PublishOutcome = { kind: 'unknown', cause: new OutboxError('confirm_overdue', 'no confirm in time') }

test('suspects that nobody may publish beside are waited for no longer than five seconds, and are none any more then', async () => {
  const lane = publish(freshFor(5), { turn: 'alone', suspects: 'from other lanes' })
  await new Promise(setImmediate)
  expect([...lane.sent.keys()]).toEqual([1n, 2n, 3n, 4n])
  for (const [id, end] of lane.sent) end(id === 4n ? { kind: 'unknown', cause: 'the link fell' } : overdue)
  await lane.outcomes
  expect(lane.deadlinesMs).toEqual([5_000])
  expect([...lane.suspects.keys()]).toEqual([4n])

  const single = publish(freshFor(5), { suspects: 'from all' })
  await new Promise(setImmediate)
  single.sent.get(nobodysId)?.({ kind: 'confirmed' })
  await new Promise(setImmediate)
  expect([...single.sent.keys()]).toEqual([nobodysId, 1n])
  single.sent.get(1n)?.(overdue)
  // The others are to the same queue, and would fare no better.
  expect([...(await single.outcomes).values()].map(({ kind }) => kind)).toEqual([
    'unknown',
    'unknown',
    'unknown',
    'unknown',
  ])
  expect([...single.sent.keys()]).toEqual([nobodysId, 1n])
  expect(single.deadlinesMs).toEqual([5_000, 5_000])
  expect([...single.suspects.keys()]).toEqual([])
})

test('where the broker does not answer a message that is nobody’s, suspects are not sent, and stay what they are', async () => {
  const { sent, outcomes, suspects } = publish(freshFor(5), { suspects: 'from all' })
  await new Promise(setImmediate)
  sent.get(nobodysId)?.(overdue)
  await expect(outcomes).rejects.toThrow(expect.objectContaining({ code: 'broker_lost' }))
  expect([...sent.keys()]).toEqual([nobodysId])
  expect([...suspects.keys()]).toEqual([1n, 2n, 3n, 4n])
})

test('rows beside those of others are waited for as long as the relay was told', async () => {
  const { sent, outcomes, deadlinesMs } = publish(freshFor(5))
  await new Promise(setImmediate)
  for (const end of sent.values()) end({ kind: 'confirmed' })
  await outcomes
  expect(deadlinesMs).toEqual([60_000])
})
