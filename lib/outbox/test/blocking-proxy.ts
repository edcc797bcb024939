import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * A way to RabbitMQ on which a test can say what a broker says that is short of memory. A real shortage would block
 * every connection of the server, those of other tests as well.
 */
export const startBlockingProxy = async (rabbitmqUrl: string) => {
  const target = new URL(rabbitmqUrl)
  const clients = new Set<Socket>()
  const brokers = new Set<Socket>()
  const server = createServer((client) => {
    const broker = connect(Number(target.port), target.hostname)
    clients.add(client)
    brokers.add(broker)
    for (const [from, to] of [
      [client, broker],
      [broker, client],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
    client.on('close', () => {
      clients.delete(client)
      brokers.delete(broker)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const url = new URL(rabbitmqUrl)
  url.port = String(address.port)
  const tellAll = (frame: Buffer) => {
    for (const client of clients) client.write(frame)
  }
  return {
    url: url.href,
    block: () => tellAll(connectionMethod(60, Buffer.from('\u0003low'))),
    /** Holds back what the broker itself says, until `release`. */
    hold: () => {
      for (const broker of brokers) broker.pause()
    },
    release: () => {
      for (const broker of brokers) broker.resume()
    },
    unblock: () => tellAll(connectionMethod(61, Buffer.alloc(0))),
    close: async () => {
      for (const client of clients) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A frame of AMQP 0-9-1: method of class 10 (connection) on channel 0; 50 is `close`, 60 `blocked`, 61 `unblocked`. */
export const connectionMethod = (method: number, fields: Buffer): Buffer => {
  const frame = Buffer.alloc(7 + 4 + fields.length + 1)
  frame.writeUInt8(1, 0)
  frame.writeUInt16BE(0, 1)
  frame.writeUInt32BE(4 + fields.length, 3)
  frame.writeUInt16BE(10, 7)
  frame.writeUInt16BE(method, 9)
  fields.copy(frame, 11)
  frame.writeUInt8(0xce, 11 + fields.length)
  return frame
}
