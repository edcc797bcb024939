import { expect, test, vi } from 'vitest'
import { alone, crewWith } from '../../../test/crew-with.ts'
import { laneOf } from '../../../test/no-owner.ts'
import { openLink } from '../../../test/open-link.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

test('a lane that slept counts as left where there is no time to look into it again', async () => {
  const owned = await ownLane('relay')
  const [draining, over] = [new AbortController(), new AbortController()]
  const crew = crewWith({
    owner: { session: owned.session, home: owned },
    link: await openLink(),
    draining: draining.signal,
    over: over.signal,
  })
  crew.start(owned)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  draining.abort()
  over.abort()
  expect(await crew.ended()).toBe(false)
})

test('the channel of a lane is closed also where the time is over before it is let go', async () => {
  const owned = await ownLane('relay')
  const link = await openLink()
  const opening = vi.spyOn(link.connection(), 'createConfirmChannel')
  const happened: string[] = []
  const [begun, over] = [new AbortController(), new AbortController()]
  const crew = crewWith({
    owner: { session: owned.session, home: laneOf(0) },
    link,
    draining: AbortSignal.abort(),
    over: over.signal,
    handOver: {
      ...alone,
      isAlone: async () => {
        // The lane's work is over, and its channel open still.
        for (const { value } of opening.mock.results) {
          happened.push('opened')
          value.once('close', () => void happened.push('closed'))
        }
        begun.abort()
        over.abort()
        return false
      },
      begun: begun.signal,
    },
  })
  crew.start({ ...owned, kind: 'always' })
  await crew.ended()
  await expect.poll(() => happened, soon).toEqual(['opened', 'closed'])
})
