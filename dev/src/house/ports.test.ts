import { connect } from 'node:net'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { holdFirstFreePort, holdPort } from './ports.ts'

const lowest = 45_200

test('two houses that look for the first free port at the same time do not get the same one', async () => {
  const both = await Promise.all([holdFirstFreePort(lowest), holdFirstFreePort(lowest)])
  onTestFinished(async () => {
    await Promise.all(both.map(({ release }) => release()))
  })
  expect(new Set(both.map(({ port }) => port)).size).toBe(2)
})

test('a port that is held is refused to others until it is released', async () => {
  const held = await holdFirstFreePort(lowest)
  expect(await holdPort(held.port)).toBeNull()
  await held.release()
  const again = await holdPort(held.port)
  expect(again).toMatchObject({ port: held.port })
  await again?.release()
})

test('who connects to a port that is held is turned away', async () => {
  const held = await holdFirstFreePort(lowest)
  onTestFinished(held.release)
  const socket = connect(held.port, '127.0.0.1')
  socket.resume()
  await once(socket, 'close')
})
