import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Before the first frame a client sends `AMQP` and the version. */
const greetingBytes = 8

/** Type, channel and size; behind the payload comes an end mark of one byte. */
const headerBytes = 7

/** A way to RabbitMQ on which what goes by one channel can be held up, while all other channels go on. */
export const startStallingProxy = async (rabbitmqUrl: string) => {
  const url = new URL(rabbitmqUrl)
  const target = { port: Number(url.port), host: url.hostname }
  const sockets = new Set<Socket>()
  let words: string | null = null
  let held: { broker: Socket; frame: Buffer }[] = []
  const server = createServer((client) => {
    const broker = connect(target)
    let rest: Buffer = Buffer.alloc(0)
    let isGreeted = false
    let stalled: number | null = null
    const pass = (frame: Buffer) => {
      const channel = isGreeted ? frame.readUInt16BE(1) : null
      isGreeted = true
      if (words !== null && frame.includes(words)) stalled = channel
      if (words !== null && channel !== null && channel === stalled) held.push({ broker, frame })
      else broker.write(frame)
    }
    client.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes])
      for (;;) {
        const size = !isGreeted ? greetingBytes : rest.length < headerBytes ? Infinity : frameBytes(rest)
        if (rest.length < size) return
        pass(rest.subarray(0, size))
        rest = rest.subarray(size)
      }
    })
    broker.on('data', (bytes: Buffer) => client.write(bytes))
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  url.port = String(address.port)
  return {
    url: url.href,
    /** Holds up what a client sends by the channel by which it sends these words next, from these on. */
    stallAt: (sent: string) => {
      words = sent
    },
    /** How many frames are held up. */
    held: () => held.length,
    /** Sends what was held up, and holds up nothing more. */
    release: () => {
      words = null
      for (const { broker, frame } of held) broker.write(frame)
      held = []
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const frameBytes = (bytes: Buffer): number => headerBytes + bytes.readUInt32BE(3) + 1
