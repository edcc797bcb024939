import { channelOf, framesOf, greetingBytes, methodOf } from './amqp-frames.ts'
import { startWay } from './start-way.ts'

/** What a channel has published and RabbitMQ has not confirmed: by its number, whether its confirm is to be late. */
type Unconfirmed = { published: number; late: Map<number, boolean> }

const [channelIsOpened, isPublished, isConfirmed] = ['20.10', '60.40', '60.80']

/** Where the number of a confirm lies in its frame, and whether it is for all up to that. */
const [tagAt, multipleAt] = [11, 19]

/**
 * A way to RabbitMQ on which the confirms of messages that hold these words in their address, as of a queue that has lost
 * most of its nodes, do not come until they are let through. The messages do.
 */
export const startLateProxy = async (rabbitmqUrl: string, words: string) => {
  let isOver = false
  let held = 0
  const way = await startWay(rabbitmqUrl, (client, broker) => {
    const channels = new Map<number, Unconfirmed>()
    const pass = (frame: Buffer, isGreeting: boolean): void => {
      const method = isGreeting ? null : methodOf(frame)
      if (method === channelIsOpened) channels.set(channelOf(frame), { published: 0, late: new Map() })
      const channel = method === isPublished ? channels.get(channelOf(frame)) : undefined
      if (channel !== undefined) {
        channel.published += 1
        channel.late.set(channel.published, frame.includes(words))
      }
      broker.write(frame)
    }
    const passBack = (frame: Buffer): void => {
      const channel = methodOf(frame) === isConfirmed ? channels.get(channelOf(frame)) : undefined
      if (channel === undefined) return void client.write(frame)
      const last = Number(frame.readBigUInt64BE(tagAt))
      const isMultiple = frame.readUInt8(multipleAt) === 1
      for (const [tag, isLate] of channel.late) {
        if (tag !== last && !(isMultiple && tag < last)) continue
        channel.late.delete(tag)
        const confirm = Buffer.from(frame)
        confirm.writeBigUInt64BE(BigInt(tag), tagAt)
        confirm.writeUInt8(0, multipleAt)
        if (isLate && !isOver) held += 1
        else client.write(confirm)
      }
    }
    client.on('data', framesOf(greetingBytes, pass))
    broker.on('data', framesOf(0, passBack))
    broker.on('close', () => client.destroy())
  })
  return {
    url: way.url,
    /** How many confirms are held back. */
    held: () => held,
    /** From now on confirms come. Those that were held back are lost, as where the queue has its nodes again. */
    end: () => {
      isOver = true
    },
    stop: way.stop,
  }
}
