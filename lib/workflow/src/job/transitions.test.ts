import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isOver, statusesBefore, transitions } from './transitions.ts'
import { jobStatuses } from '../model/job-status.ts'

const events = ['accept', 'release', 'putBack', 'start', 'succeed', 'requeue', 'fail', 'cancel', 'sendAgain'] as const

test('an event leads to the same status from wherever it may come', () => {
  for (const event of events) {
    const targets = statusesBefore(event).map((status) => Reflect.get(transitions[status], event))
    expect(new Set(targets).size, event).toBe(1)
  }
})

test('a worker moves a job from queued and running alike, since short jobs are never marked running', () => {
  for (const event of ['succeed', 'fail', 'requeue'] as const) {
    expect(statusesBefore(event)).toEqual(['queued', 'running'])
  }
})

test('what is over stays over, but for a failed job that a person sends again', () => {
  fc.assert(
    fc.property(fc.constantFrom(...jobStatuses), fc.constantFrom(...events), (status, event) => {
      if (isOver(status) && statusesBefore(event).includes(status))
        expect([status, event]).toEqual(['failed', 'sendAgain'])
    }),
  )
})
