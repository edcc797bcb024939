import { appendFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type ConsumeMessage } from 'amqplib'
import { z } from 'zod'
import { readContent } from '../content.ts'

/** Notes every message of a queue in a file, a line each, before it acknowledges it; it may be killed at any time. */
const {
  RABBITMQ_URL: rabbitmqUrl,
  QUEUE: queue,
  RECEIVED: file,
} = z.object({ RABBITMQ_URL: z.string(), QUEUE: z.string(), RECEIVED: z.string() }).parse(process.env)

const prefetch = 500

/** Takes messages on one connection until that breaks. */
const collect = async (): Promise<void> => {
  const connection = await connect(rabbitmqUrl)
  const broken = Promise.withResolvers<void>()
  connection.on('error', broken.reject)
  connection.on('close', broken.resolve)
  const channel = await connection.createChannel()
  channel.on('error', broken.reject)
  await channel.prefetch(prefetch)
  const note = (message: ConsumeMessage | null): void => {
    if (message === null) return broken.reject(new Error('the consumer was cancelled'))
    const came = {
      ...readContent(message.content.toString('utf8'), message.properties.contentType),
      redelivered: message.fields.redelivered,
    }
    appendFileSync(file, `${JSON.stringify(came)}\n`)
    channel.ack(message)
  }
  await channel.consume(queue, note)
  await broken.promise
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

say({ event: 'ready' })
process.on('SIGTERM', () => process.exit(0))
for (;;) {
  await collect().catch((error: unknown) => say({ event: 'connection.lost', reason: String(error) }))
  await pause(100)
}
