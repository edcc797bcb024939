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
  const triedAtMs: number[] = []
  const done = await tryUntilDone(
    async () => {
      triedAtMs.push(performance.now())
      if (triedAtMs.length < 3) throw new Error('not yet')
      return 'done'
    },
    settings,
    new AbortController().signal,
  )
  expect(done).toBe('done')
  const retries = observed.map((observation) => ('retryInMs' in observation ? observation.retryInMs : Number.NaN))
  expect(observed).toMatchObject([
    { kind: 'relay.failed', reason: 'not yet', attempt: 1 },
    { kind: 'relay.failed', reason: 'not yet', attempt: 2 },
  ])
  const [first = 0, second = 0] = retries
  expect(first).toBeGreaterThanOrEqual(125)
  expect(second).toBeGreaterThanOrEqual(250)
  const [one = 0, two = 0, three = 0] = triedAtMs
  // A timer may be early by a millisecond.
  expect(two - one).toBeGreaterThan(first - 2)
  expect(three - two).toBeGreaterThan(second - 2)
})
