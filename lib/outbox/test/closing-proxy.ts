import { connectionMethod } from './blocking-proxy.ts'
import { startWay } from './start-way.ts'

/**
 * A way to RabbitMQ that ends a connection, as RabbitMQ does where it fails inside, as soon as these words are sent on it.
 * What is sent with them, or before them and not read yet, may be out or not.
 */
export const startClosingProxy = async (rabbitmqUrl: string, words: string, replyCode = 541) => {
  let closings = 0
  let isClosing = true
  const way = await startWay(rabbitmqUrl, (client, broker) => {
    let end = Buffer.alloc(0)
    client.on('data', (bytes: Buffer) => {
      const sent = Buffer.concat([end, bytes])
      if (broker.destroyed) return
      if (isClosing && sent.includes(words)) {
        closings += 1
        broker.destroy()
        client.write(connectionMethod(50, closeFields(replyCode)))
        return
      }
      // The words may come in two pieces.
      end = sent.subarray(Math.max(0, sent.length - words.length))
      broker.write(bytes)
    })
    broker.on('data', (bytes: Buffer) => client.write(bytes))
  })
  return {
    url: way.url,
    /** How many connections it has ended so. */
    closings: () => closings,
    /** It ends none any more. */
    letThrough: () => {
      isClosing = false
    },
    stop: way.stop,
  }
}

/** Reply code, reply text, and no method that would be to blame. */
const closeFields = (replyCode: number): Buffer => {
  const text = Buffer.from('INTERNAL_ERROR')
  const fields = Buffer.alloc(2 + 1 + text.length + 4)
  fields.writeUInt16BE(replyCode, 0)
  fields.writeUInt8(text.length, 2)
  text.copy(fields, 3)
  return fields
}
