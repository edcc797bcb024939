import { createVhost } from '@esteira/test/support'
import type { Channel, Connection } from 'amqplib/callback_api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freeFence, holdFence } from './hold-fence.ts'
import { openConnection } from './open-connection.ts'

let vhost: Awaited<ReturnType<typeof createVhost>>

beforeAll(async () => {
  vhost = await createVhost()
})
afterAll(() => vhost.drop())

/** A connection that is closed as soon as a channel on it is open, before whoever opened that hears of it. */
const closingConnection = async (): Promise<Connection> => {
  const connection = await openConnection(vhost.url, { name: 'closing', heartbeatSeconds: 5 })
  const createChannel = connection.createChannel.bind(connection)
  return Object.assign(connection, {
    createChannel: (opened: (error: Error | null, channel: Channel) => void) =>
      createChannel((error, channel) => {
        opened(error, channel)
        connection.close()
      }),
  })
}

test('a connection that ends as its channel opens is a missing broker, to whoever takes a fence or frees one', async () => {
  for (const work of [holdFence, freeFence]) {
    await expect(work(await closingConnection(), 'fence')).rejects.toThrow(
      expect.objectContaining({ code: 'broker_unavailable' }),
    )
  }
})
