import { expect, test } from 'vitest'
import type { Observation } from './observation.ts'
import { checkOptions } from './options.ts'
import { tryUntilDone } from './try-until-done.ts'

test('what fails is tried again later and later, and each time it is said why and when', async () => {
  const observed: Observation[] = []
  const settings = checkOptions({
    databaseUrl: 'postgres://localhost/app',
    rabbitmqUrl: 'amqp://localhost',
    lane: 'web-1',
    observe: (observation) => observed.push(observation),
  })
  let tries = 0
  const waitedMs: number[] = []
  const done = await tryUntilDone(
    async () => {
      tries += 1
      if (tries < 3) throw new Error('not yet')
      return 'done'
    },
    settings,
    new AbortController().signal,
    async (ms) => void waitedMs.push(ms),
  )
  expect(done).toBe('done')
  const [first = 0, second = 0] = waitedMs
  expect(observed).toMatchObject([
    { kind: 'relay.failed', reason: 'not yet', attempt: 1, retryInMs: first },
    { kind: 'relay.failed', reason: 'not yet', attempt: 2, retryInMs: second },
  ])
  expect(first).toBeGreaterThanOrEqual(125)
  expect(second).toBeGreaterThanOrEqual(250)
  expect(waitedMs).toHaveLength(2)
})
