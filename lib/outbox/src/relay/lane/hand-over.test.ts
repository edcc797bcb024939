import { expect, test } from 'vitest'
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

/** A relay that is to stop, what it hears of its neighbours one by one, and what it did; it waits until it is told. */
const stopping = (...heard: boolean[]) => {
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
        adopt: true,
      }),
      owner: {
        session,
        neighbours: {
          join: async () => {},
          leave: () => hear('leave'),
          areThere: () => hear('look'),
          keepLanes: async () => void did.push('keep'),
        },
      },
      formerGone: async () => {},
      draining: draining.signal,
      over: never,
    },
    (_, signal) =>
      new Promise((resolve) => {
        did.push('wait')
        goOn = resolve
        signal.addEventListener('abort', () => resolve())
      }),
  )
  draining.abort()
  const waits = (times: number) => expect.poll(() => did.filter((what) => what === 'wait').length).toBe(times)
  return { handOver, did, waits, goOn: () => goOn() }
}

test('one that sees a neighbour leaves its lanes, and who hears of it finds that the hand-over has begun', async () => {
  const { handOver, did } = stopping(true)
  expect(await handOver.isAlone().then((isAlone) => [isAlone, handOver.begun.aborted])).toEqual([false, true])
  await handOver.end()
  expect(did).toEqual(['leave'])
})

test('one that is alone keeps its lanes, looks again until its end, and leaves them to one that comes', async () => {
  const { handOver, did, waits, goOn } = stopping(false, false, true, true)
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
  const { handOver, did, waits, goOn } = stopping(false, true, false)
  await waits(1)
  goOn()
  await waits(2)
  expect(did).toEqual(['leave', 'keep', 'wait', 'look', 'leave', 'keep', 'wait'])
  expect([await handOver.isAlone(), handOver.begun.aborted]).toEqual([true, false])
  await handOver.end()
  expect(did.at(-1)).toBe('wait')
})
