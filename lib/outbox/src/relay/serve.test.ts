import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { noLink } from '../../test/no-link.ts'
import { laneOf, noOwner, noSession } from '../../test/no-owner.ts'
import { createPayloadMemory } from './lane/payload-memory.ts'
import { checkOptions } from './options.ts'
import type { ControlSession } from './own/control-session.ts'
import { serve } from './serve.ts'
import type { Listener } from './wake/listener.ts'

const settings = checkOptions({
  databaseUrl: 'postgres://localhost',
  rabbitmqUrl: 'amqp://localhost',
  lane: 'lane 1',
})

const deaf: Listener = {
  listening: Promise.resolve(),
  keep: async () => {},
  add: () => {},
  remove: () => {},
  renew: () => {},
}

test('at a stop a lane that held nothing is looked into again when others were waited for, and taken if it holds any', async () => {
  const looks: unknown[] = []
  const session: ControlSession = {
    ...noSession,
    query: async (_, [lane]) => {
      looks.push(lane)
      // Something comes into the other one after it was looked into.
      return { rows: [{ holds: lane === 3 || looks.length > 2 }], rowCount: 1 }
    },
  }
  const taken: number[] = []
  let rounds = 0
  const over = new AbortController()
  const { emptied } = await serve({
    settings,
    owner: {
      ...noOwner,
      session,
      lastOrphans: async () => {
        rounds += 1
        const left = [2, 3].filter((lane) => !taken.includes(lane))
        return left.map((lane) => ({ lane: laneOf(lane), isHeld: lane === 3 && rounds === 1 }))
      },
      takeAll: async (lanes) => {
        for (const { lane } of lanes) taken.push(lane)
        return lanes.length
      },
    },
    former: [],
    had: new Set(),
    link: { ...noLink, up: () => true },
    listener: deaf,
    memory: createPayloadMemory(),
    draining: AbortSignal.abort(),
    over: over.signal,
  })
  expect(taken).toEqual([3, 2])
  expect(emptied).toBe(true)
})

test('where something throws nothing is watched any more, and the end of the time closes nothing again', async () => {
  const fault = new Error('of the relay')
  const over = new AbortController()
  const watching = new Set<() => void>()
  let closed = 0
  const serving = serve({
    settings,
    owner: {
      ...noOwner,
      lanes: () => {
        throw fault
      },
      close: async () => void (closed += 1),
    },
    former: [],
    had: new Set(),
    link: {
      ...noLink,
      watch: (watcher) => {
        watching.add(watcher)
        return () => watching.delete(watcher)
      },
    },
    listener: deaf,
    memory: createPayloadMemory(),
    draining: AbortSignal.abort(),
    over: over.signal,
  })
  await expect(serving).rejects.toBe(fault)
  expect(watching.size).toBe(0)
  over.abort()
  await nextTurn()
  expect(closed).toBe(1)
})
