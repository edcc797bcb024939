import { expect, test } from 'vitest'
import { linkReason } from './create-broker.ts'

const words = 'Failed to connect to: amqp://app:***@mq:5672/app?heartbeat=10. Original message was:'

test('of a link that was not got only what was said is told, not the address with its options', () => {
  expect(linkReason(new Error(`${words} connect ECONNREFUSED 10.0.0.1:5672`))).toBe(
    'connect ECONNREFUSED 10.0.0.1:5672',
  )
  expect(linkReason(new Error('Unexpected close'))).toBe('Unexpected close')
})

test('a name with several addresses is told with the refusal of each', () => {
  const refusals = [new Error('connect ECONNREFUSED ::1:5672'), new Error('connect ECONNREFUSED 127.0.0.1:5672')]
  expect(linkReason(new AggregateError(refusals, `${words} `))).toBe(
    'connect ECONNREFUSED ::1:5672; connect ECONNREFUSED 127.0.0.1:5672',
  )
})
