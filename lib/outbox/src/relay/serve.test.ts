import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { noLink } from '../../test/no-link.ts'
import { noOwner } from '../../test/no-owner.ts'
import { createPayloadMemory } from './lane/payload-memory.ts'
import { checkOptions } from './options.ts'
import { serve } from './serve.ts'

test('where something throws nothing is watched any more, and the end of the time closes nothing again', async () => {
  const fault = new Error('of the relay')
  const over = new AbortController()
  const watching = new Set<() => void>()
  let closed = 0
  const serving = serve({
    settings: checkOptions({ databaseUrl: 'postgres://localhost', rabbitmqUrl: 'amqp://localhost', lane: 'lane 1' }),
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
    listener: { listening: Promise.resolve(), add: () => {}, remove: () => {}, renew: () => {}, keep: async () => {} },
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
