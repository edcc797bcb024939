import { expect, test, vi } from 'vitest'
import { hearUncaught } from '../../test/hear-uncaught.ts'
import { OutboxError } from '../errors.ts'
import type { Observation } from './observation.ts'
import { createRelay } from './relay.ts'

test('an observer that throws is no trouble of the relay nor of other observers, but one of the process', async () => {
  const uncaught = hearUncaught()
  const fault = new Error('of the observer')
  const relay = createRelay({
    databaseUrl: 'postgres://localhost/none',
    rabbitmqUrl: 'amqp://localhost',
    lane: 'any',
    observe: () => {
      throw fault
    },
  })
  const heard: string[] = []
  relay.observe(({ kind }) => heard.push(kind))
  await relay.stop({ graceMs: 0 })
  expect(heard).toEqual(['relay.stopped'])
  await vi.waitFor(() => expect(uncaught).toEqual([fault]))
})

test('whoever observes a relay hears what happens beside the option, each until they end that', async () => {
  const heard = { option: 0, first: 0, twice: 0 }
  const hearAs = (name: keyof typeof heard) => (observation: Observation) => {
    if (observation.kind === 'relay.stopped') heard[name] += 1
  }
  const relay = createRelay({
    databaseUrl: 'postgres://localhost/none',
    rabbitmqUrl: 'amqp://localhost',
    lane: 'any',
    observe: hearAs('option'),
  })
  const endFirst = relay.observe(hearAs('first'))
  const twice = hearAs('twice')
  const endTwice = [relay.observe(twice), relay.observe(twice)]
  endFirst()
  endTwice[0]?.()
  await relay.stop({ graceMs: 0 })
  expect(heard).toEqual({ option: 1, first: 0, twice: 1 })
  expect(() => relay.observe(Object({}))).toThrow(
    new OutboxError('option_invalid', 'observer: expected a function, got object'),
  )
})
