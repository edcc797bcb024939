import { expect, test } from 'vitest'
import { readMessage } from './delivery.ts'

const jobId = '019a2238-3c8b-7770-8ec2-80c8383c0d16'

const read = (body: object, { count, redelivered = false }: { count?: number; redelivered?: boolean } = {}) =>
  readMessage({
    content: Buffer.from(JSON.stringify(body)),
    fields: { redelivered },
    properties: { headers: count === undefined ? {} : { 'x-delivery-count': count } },
  })

test('a message of a job says how often the broker had it back', () => {
  const reference = { jobId, seq: 1 }
  expect(read(reference)).toEqual({ reference, redelivered: false, deliveries: 0, putOffs: 0 })
  expect(read(reference, { count: 2, redelivered: true })).toEqual({
    reference,
    redelivered: true,
    deliveries: 2,
    putOffs: 0,
  })
})

test('one that was put off goes on with the count of those before it, and whoever had these may still be at work', () => {
  const reference = { jobId, seq: 3 }
  const putOff = { times: 2, deliveries: 1 }
  expect(read({ ...reference, putOff }, { count: 1 })).toEqual({
    reference,
    redelivered: true,
    deliveries: 2,
    putOffs: 2,
  })
})

test('what is no reference to a job, nor a probe, cannot be read', () => {
  for (const body of [{}, { jobId, seq: 0 }, { jobId, seq: 1, putOff: { times: 0, deliveries: 0 } }]) {
    expect(read(body)).toMatchObject({ unreadable: expect.any(String) })
  }
  expect(read({ probe: jobId })).toEqual({ probe: jobId })
})
