import { expect, test } from 'vitest'
import { hearUncaught } from '../../test/hear-uncaught.ts'
import { endTogether } from './end-together.ts'

test('works that end well give what each of them gives, and nothing is given up', async () => {
  const givenUp: unknown[] = []
  const works = [Promise.resolve('one'), Promise.resolve(2)] as const
  expect(await endTogether(works, (fault) => givenUp.push(fault))).toEqual(['one', 2])
  expect(givenUp).toEqual([])
})

test('the first that fails has the others end, and is told when they have, though they fail as well', async () => {
  const uncaught = hearUncaught()
  const [first, later] = [new Error('of the first'), new Error('of the other')]
  const other = Promise.withResolvers<void>()
  const happened: unknown[] = []
  const ending = endTogether([other.promise, Promise.reject(first)], (fault) => happened.push(fault)).catch(
    (fault: unknown) => happened.push('told', fault),
  )
  await expect.poll(() => happened).toEqual([first])
  other.reject(later)
  await ending
  expect(happened).toEqual([first, 'told', first])
  expect(uncaught).toEqual([])
})
