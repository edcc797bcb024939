import { expect, test } from 'vitest'
import { carry } from './carry.ts'
import type { Delivered } from './finish.ts'
import type { WorkerEvent } from '../worker-options.ts'

const reference = { jobId: 'job', seq: 1 }

/** A delivery that ends so, with functions of it that run on, and what its message was answered. */
const begin = (end: () => Delivered, runOn: number) => {
  const answers: string[] = []
  const told: WorkerEvent[] = []
  const running = Array.from({ length: runOn }, () => Promise.withResolvers<void>())
  const carried = carry(
    { reference, ack: () => answers.push('ack'), handBack: () => answers.push('hand back') },
    {
      functionName: 'Work',
      observe: (event) => told.push(event),
      deliver: async (onKept) => {
        for (const { promise } of running) onKept(promise)
        return end()
      },
    },
  )
  return { answers, told, running, carried }
}

const ends: [string, () => Delivered, string, WorkerEvent['kind']][] = [
  ['is written', () => ({ kind: 'written', ending: { kind: 'cancelled' } }), 'ack', 'job.written'],
  ['is dropped', () => ({ kind: 'dropped', reason: 'held by another' }), 'ack', 'delivery.dropped'],
  ['is refused', () => ({ kind: 'refused' }), 'hand back', 'delivery.refused'],
  [
    'comes to a fault of the house',
    () => {
      throw new Error('permission denied')
    },
    'hand back',
    'delivery.handed-back',
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

test.each(ends)(
  'one that %s and of which nothing runs on is answered at once and told',
  async (_, end, answer, kind) => {
    const { answers, told, carried } = begin(end, 0)
    await carried
    expect(answers).toEqual([answer])
    expect(told).toMatchObject([{ kind, functionName: 'Work', jobId: 'job' }])
  },
)
