import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { hearUncaught } from '../../../test/hear-uncaught.ts'
import { onAbort } from '../on-abort.ts'
import { checkOptions } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
import { createHandOver } from './hand-over.ts'

const never = new AbortController().signal

const session: ControlSession = {
  query: () => Promise.reject(new Error('nothing is asked of it')),
  lost: never,
  fresh: () => true,
  unansweredMs: () => 0,
  giveUp: () => {},
  beat: async () => {},
  close: async () => {},
}

type Given = { adopt?: boolean; formerGone?: () => Promise<void>; lost?: AbortSignal; over?: AbortSignal }

/** A relay, what it hears of its neighbours one by one, and what it did; it waits until it is told. */
const working = (
  heard: boolean[],
  { adopt = true, formerGone = async () => {}, lost = never, over = never }: Given = {},
) => {
  const did: string[] = []
  let goOn = () => {}
  const draining = new AbortController()
  const hear = async (what: string): Promise<boolean> => {
    did.push(what)
    const answer = heard.shift()
    if (answer === undefined) throw new Error('it was asked too often')
    return answer
  }
  const handOver = createHandOver(
    {
      settings: checkOptions({
        databaseUrl: 'postgres://localhost',
        rabbitmqUrl: 'amqp://localhost',
        lane: 'lane 1',
        adopt,
      }),
      owner: {
        session: { ...session, lost },
        neighbours: {
          join: async () => {},
          leave: () => hear('leave'),
          areThere: () => hear('look'),
          keepLanes: async () => {
            await nextTurn()
            did.push('keep')
          },
        },
      },
      formerGone,
      draining: draining.signal,
      over,
    },
    (_, signal) =>
      new Promise((resolve) => {
        did.push('wait')
        const unwatch = onAbort(signal, () => {
          did.push('wait no more')
          resolve()
        })
        goOn = () => {
          unwatch()
          resolve()
        }
      }),
  )
  const waits = (times: number) => expect.poll(() => did.filter((what) => what === 'wait').length).toBe(times)
  return { handOver, did, waits, goOn: () => goOn(), stop: () => draining.abort() }
}

/** One that is to stop. */
const stopping = (heard: boolean[], given?: Given) => {
  const { stop, ...relay } = working(heard, given)
  stop()
  return relay
}

test('one that sees a neighbour leaves its lanes, and who hears of it finds that the hand-over has begun', async () => {
  const { handOver, did } = stopping([true])
  expect(await handOver.isAlone().then((isAlone) => [isAlone, handOver.begun.aborted])).toEqual([false, true])
  await handOver.end()
  expect(did).toEqual(['leave'])
})

test('one that is alone keeps its lanes, looks again until its end, and leaves them to one that comes', async () => {
  const { handOver, did, waits, goOn } = stopping([false, false, true, true])
  await waits(1)
  expect(await handOver.isAlone()).toBe(true)
  goOn()
  await waits(2)
  expect(handOver.begun.aborted).toBe(false)
  goOn()
  await expect.poll(() => handOver.begun.aborted).toBe(true)
  expect(await handOver.isAlone()).toBe(false)
  await handOver.end()
  expect(did).toEqual(['leave', 'keep', 'wait', 'look', 'wait', 'look', 'leave'])
})

test('one that finds at its second look that it is alone after all keeps its lanes again, and goes on looking', async () => {
  const { handOver, did, waits, goOn } = stopping([false, true, false, false])
  await waits(1)
  goOn()
  await waits(2)
  expect(did).toEqual(['leave', 'keep', 'wait', 'look', 'leave', 'keep', 'wait'])
  expect([await handOver.isAlone(), handOver.begun.aborted]).toEqual([true, false])
  await handOver.end()
  expect(did.slice(-2)).toEqual(['wait no more', 'leave'])
  expect(handOver.begun.aborted).toBe(false)
})

test('nobody hears that it is alone before all others can see that it keeps its lanes', async () => {
  const { handOver, did } = stopping([false, false])
  await handOver.isAlone().then(() => did.push('hear'))
  await handOver.end()
  expect(did.filter((what) => !what.startsWith('wait'))).toEqual(['leave', 'keep', 'hear', 'leave'])
})

test('one whose former sessions live on at Postgres looks for neighbours after that, and its end waits for the look', async () => {
  const gone = Promise.withResolvers<void>()
  const { handOver, did } = stopping([false, false], { formerGone: () => gone.promise })
  const ended = handOver.end().then(() => did.push('end'))
  await nextTurn()
  expect(did).toEqual([])
  gone.resolve()
  await ended
  expect(did.filter((what) => !what.startsWith('wait'))).toEqual(['leave', 'keep', 'leave', 'end'])
})

test.each(['lost', 'over'] as const)(
  'one that has no time any more (%s) asks nobody, and does not know',
  async (why) => {
    const { handOver, did } = stopping([false], { [why]: AbortSignal.abort() })
    expect([await handOver.isAlone(), handOver.begun.aborted]).toEqual([null, false])
    await handOver.end()
    expect(did).toEqual([])
  },
)

test.each(['lost', 'over'] as const)('one whose time ends while it is alone (%s) looks no more', async (why) => {
  const end = new AbortController()
  const { handOver, did, waits } = stopping([false], { [why]: end.signal })
  await waits(1)
  end.abort()
  expect(did.at(-1)).toBe('wait no more')
  await handOver.end()
  expect(did).toEqual(['leave', 'keep', 'wait', 'wait no more'])
})

test('one that adopts no lanes, or is not to stop, looks for no neighbours, nor does one that has ended', async () => {
  const apart = stopping([false], { adopt: false })
  await apart.handOver.end()
  const relay = working([false])
  await relay.handOver.end()
  relay.stop()
  await nextTurn()
  expect([apart.did, relay.did]).toEqual([[], []])
})

test('what fails in looking for neighbours is told at the end, and is not unheard until then', async () => {
  const uncaught = hearUncaught()
  const { handOver } = stopping([], { formerGone: () => Promise.reject(new Error('a fault of our own')) })
  await nextTurn()
  expect(uncaught).toEqual([])
  await expect(handOver.end()).rejects.toThrow('a fault of our own')
})
