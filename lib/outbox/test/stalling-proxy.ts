import type { Socket } from 'node:net'
import { startWay } from './start-way.ts'

/** Before the first frame a client sends `AMQP` and the version. */
const greetingBytes = 8

/** Type, channel and size; behind the payload comes an end mark of one byte. */
const headerBytes = 7

/** A way to RabbitMQ on which what goes by one channel can be held up, while all other channels go on. */
export const startStallingProxy = async (rabbitmqUrl: string) => {
  let words: string | null = null
  let held: { broker: Socket; frame: Buffer }[] = []
  const way = await startWay(rabbitmqUrl, (client, broker) => {
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
    broker.on('close', () => client.destroy())
  })
  return {
    url: way.url,
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
    stop: way.stop,
  }
}

const frameBytes = (bytes: Buffer): number => headerBytes + bytes.readUInt32BE(3) + 1
