import { expect, test } from 'vitest'
import { createTurns } from './turns.ts'

/** Works that begin when they may and end when the test says so. */
const createWorks = (waitMs?: number) => {
  const turns = createTurns(waitMs)
  const begun: string[] = []
  const ask = (name: string, how: 'beside' | 'alone') => {
    const work = Promise.withResolvers<string>()
    const done = turns[how](() => {
      begun.push(name)
      return work.promise
    })
    return { end: () => work.resolve(name), fail: () => work.reject(new Error(name)), done }
  }
  const settled = () => new Promise(setImmediate)
  return { begun, ask, settled }
}

test('who is to be alone waits for those before it, and those behind it wait for its end', async () => {
  const { begun, ask, settled } = createWorks()
  const [one, two] = [ask('one', 'beside'), ask('two', 'beside')]
  const alone = ask('alone', 'alone')
  const behind = ask('behind', 'beside')
  await settled()
  expect(begun).toEqual(['one', 'two'])
  one.end()
  await settled()
  expect(begun).toEqual(['one', 'two'])
  two.end()
  await settled()
  expect(begun).toEqual(['one', 'two', 'alone'])
  alone.end()
  await settled()
  expect(begun).toEqual(['one', 'two', 'alone', 'behind'])
  behind.end()
  expect(await Promise.all([one.done, two.done, alone.done, behind.done])).toEqual(['one', 'two', 'alone', 'behind'])
})

test('of several that are to be alone each has its turn, also after one that fails', async () => {
  const { begun, ask, settled } = createWorks()
  const [first, second] = [ask('first', 'alone'), ask('second', 'alone')]
  const behind = ask('behind', 'beside')
  await settled()
  expect(begun).toEqual(['first'])
  first.fail()
  await expect(first.done).rejects.toThrow('first')
  await settled()
  expect(begun).toEqual(['first', 'second'])
  second.end()
  await settled()
  expect(begun).toEqual(['first', 'second', 'behind'])
  behind.end()
  await behind.done
})

test('work that does not end holds up who is to be alone, and those behind it, for a while only', async () => {
  const { begun, ask } = createWorks(1)
  const stuck = ask('stuck', 'beside')
  const alone = ask('alone', 'alone')
  const behind = ask('behind', 'beside')
  alone.end()
  behind.end()
  await Promise.all([alone.done, behind.done])
  expect(begun).toEqual(['stuck', 'alone', 'behind'])
  stuck.end()
  await stuck.done
})
