import { expect, test } from 'vitest'
import { carry } from './carry.ts'
import type { Delivered } from './finish.ts'

const reference = { jobId: 'job', seq: 1 }

/** A delivery that ends so, with functions of it that run on, and what its message was answered. */
const begin = (end: () => Delivered, runOn: number) => {
  const answers: string[] = []
  const running = Array.from({ length: runOn }, () => Promise.withResolvers<void>())
  const carried = carry(
    { reference, ack: () => answers.push('ack'), handBack: () => answers.push('hand back') },
    {
      functionName: 'Work',
      observe: () => {},
      deliver: async (onKept) => {
        for (const { promise } of running) onKept(promise)
        return end()
      },
    },
  )
  return { answers, running, carried }
}

const ends: [string, () => Delivered, string][] = [
  ['is written', () => ({ kind: 'written', ending: { kind: 'cancelled' } }), 'ack'],
  ['is dropped', () => ({ kind: 'dropped', reason: 'held by another' }), 'ack'],
  ['is refused', () => ({ kind: 'refused' }), 'hand back'],
  [
    'comes to a fault of the house',
    () => {
      throw new Error('permission denied')
    },
    'hand back',
  ],
]

test.each(ends)(
  'a delivery that %s keeps its message until no function of it runs any more',
  async (_, end, answer) => {
    const { answers, running, carried } = begin(end, 2)
    for (const { resolve } of running) {
      await new Promise(setImmediate)
      expect(answers).toEqual([])
      resolve()
    }
    await carried
    expect(answers).toEqual([answer])
  },
)

test.each(ends)('one that %s and of which nothing runs on is answered at once', async (_, end, answer) => {
  const { answers, carried } = begin(end, 0)
  await carried
  expect(answers).toEqual([answer])
})
