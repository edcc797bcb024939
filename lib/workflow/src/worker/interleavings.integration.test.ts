import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commands } from '../../test/commands.ts'
import { endPoisoned } from '../../test/acts.ts'
import { obey } from '../../test/obey.ts'
import { type Belt, type Jobs, messagesOn } from '../../test/of-two.ts'
import { expectEnd, expectSound } from '../../test/sound.ts'
import { firstFunctions } from '../../test/told-functions.ts'
import { openTwoWorkers, type TwoWorkers } from '../../test/two-workers.ts'

let house: TwoWorkers
beforeAll(async () => {
  house = await openTwoWorkers()
})
afterAll(() => house.close())

test('whatever happens to two workers and the belt, each job moves as the table allows, and is done once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...firstFunctions), commands, async (firstFunction, list) => {
      const run = await house.beginRun(firstFunction)
      const belt: Belt = { copies: new Map(), lost: new Set(), untaken: new Set() }
      let jobs: Jobs = await run.jobs()
      for (const command of list) {
        await obey(run, command, jobs, belt)
        await endPoisoned(run, belt)
        await run.settled()
        jobs = await expectSound(run, jobs, belt)
      }
      await expectEnd(run)
      await expectSound(run, await run.jobs(), belt)
    }),
    // Neither a case that hangs nor a search for a shorter one may use up the time: the seed is what tells.
    { numRuns: 15, timeout: 60_000, endOnFailure: true },
  )
}, 300_000)

test('of two attempts at a stream that nobody has claimed yet the second to give items is told that it has lost', async () => {
  const run = await house.beginRun('pages')
  await run.publish()
  const [message = expect.fail()] = messagesOn(run)
  const copy = { ...message }
  run.belt.push(copy)
  const [first, second] = [await run.find(0, message), await run.find(1, copy)]
  expect([await run.goOn(first), await run.goOn(second)]).toEqual(['begun', 'begun'])
  expect(await run.give(first, 5)).toMatchObject({ goesOn: true })
  expect(await run.give(second, 5)).toEqual({ goesOn: false, pages: 0 })
  expect(run.attempts).toEqual([first])
})
