import { startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { hearUncaught } from '../../test/hear-uncaught.ts'
import { lane, useLane, vhost } from '../../test/use-lane.ts'
import type { OnSend } from './publish/on-send.ts'

useLane()

/** Keeps what a relay tells of each send: which message, and how it ended. */
const keep = () => {
  const sends: { routingKey: string; headers: object; ends: string[] }[] = []
  const onSend: OnSend = (message) => {
    const { routingKey, headers } = message
    expect(Object.keys(message)).toEqual(['messageId', 'exchange', 'routingKey', 'headers'])
    const send = { routingKey, headers, ends: [] as string[] }
    sends.push(send)
    return ({ kind }) => void send.ends.push(kind)
  }
  return { sends, onSend }
}

test('each message is told of as it is sent, with its headers, and once how that ended', async () => {
  const { sends, onSend } = keep()
  const relay = lane.relay({ onSend })
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  await lane.commit(
    { routingKey: lane.name, payload: 1, headers },
    { routingKey: `${lane.name}.missing`, payload: 2 },
    { routingKey: lane.name, payload: 3 },
  )
  await relay.runOnce()
  expect(sends).toEqual([
    { routingKey: lane.name, headers, ends: ['confirmed'] },
    { routingKey: `${lane.name}.missing`, headers: {}, ends: ['refused'] },
    { routingKey: lane.name, headers: {}, ends: ['confirmed'] },
  ])
})

test('what is thrown on the way is an uncaught exception of the process, and all messages go out all the same', async () => {
  const uncaught = hearUncaught()
  const relay = lane.relay({
    onSend: ({ routingKey }) => {
      if (routingKey !== lane.name) throw new Error('of the sending')
      return () => {
        throw new Error('of its end')
      }
    },
    observe: ({ kind }) => {
      throw new Error(`of ${kind}`)
    },
  })
  await relay.start()
  await lane.declareQueue(`${lane.name} other`)
  await lane.commit({ routingKey: lane.name, payload: 1 }, { routingKey: `${lane.name} other`, payload: 2 })
  await expect.poll(() => lane.rows(), { timeout: 10_000 }).toBe(0)
  await lane.commit({ routingKey: lane.name, payload: 3 })
  await expect.poll(() => lane.rows(), { timeout: 10_000 }).toBe(0)
  expect([await lane.count(lane.name), await lane.count(`${lane.name} other`)]).toEqual([2, 1])
  expect(uncaught.map(String)).toEqual(
    expect.arrayContaining(['Error: of the sending', 'Error: of its end', 'Error: of relay.owned']),
  )
})

test('a message goes out as it was written, whatever is done to it on the way, and a promise as an answer is uncaught', async () => {
  const uncaught = hearUncaught()
  const relay = lane.relay({
    onSend: ({ headers }) => {
      headers.added = [1]
      // As from JavaScript, which no type keeps from it.
      return Object(Promise.resolve())
    },
  })
  await lane.commit({ routingKey: lane.name, payload: 1, headers: { attempt: 1 } })
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  expect((await lane.take(lane.name)).map(({ headers }) => headers)).toEqual([{ attempt: 1 }])
  expect(uncaught.map(String)).toEqual([
    'OutboxError: onSend: expected it to return a function or undefined, got a promise',
  ])
})

test('a message whose confirm is lost ended as unknown, and is told of again when it is sent again', async () => {
  const { sends, onSend } = keep()
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ onSend, rabbitmqUrl: proxy.url, pollMs: 100 })
  await relay.start()
  await lane.commit({ routingKey: lane.name, payload: 1 })
  await expect.poll(() => sends.length, { timeout: 10_000 }).toBe(1)
  await expect.poll(() => sends[0]?.ends.length, { timeout: 10_000 }).toBe(1)
  proxy.pause()
  await lane.commit({ routingKey: lane.name, payload: 2 })
  await expect.poll(() => sends.length, { timeout: 10_000 }).toBe(2)
  expect(sends[1]?.ends).toEqual([])
  proxy.cut()
  proxy.resume()
  await expect.poll(() => sends[2]?.ends, { timeout: 20_000 }).toEqual(['confirmed'])
  expect(sends[1]?.ends).toEqual(['unknown'])
})
