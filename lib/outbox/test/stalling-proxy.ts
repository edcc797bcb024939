import type { Socket } from 'node:net'
import { channelOf, framesOf, greetingBytes } from './amqp-frames.ts'
import { startWay } from './start-way.ts'

/** A way to RabbitMQ on which what goes by one channel can be held up, while all other channels go on. */
export const startStallingProxy = async (rabbitmqUrl: string) => {
  let words: string | null = null
  let held: { broker: Socket; frame: Buffer }[] = []
  const way = await startWay(rabbitmqUrl, (client, broker) => {
    let stalled: number | null = null
    const pass = (frame: Buffer, isGreeting: boolean) => {
      const channel = isGreeting ? null : channelOf(frame)
      if (words !== null && frame.includes(words)) stalled = channel
      if (words !== null && channel !== null && channel === stalled) held.push({ broker, frame })
      else broker.write(frame)
    }
    client.on('data', framesOf(greetingBytes, pass))
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
