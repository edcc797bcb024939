import amqplib from 'amqplib'
import { startClock, taskSchema } from '../messages.ts'

/** The ceiling of any publisher: one confirm channel and a window, no database. */
const { rabbitmqUrl, queue, rows, window, payloadBytes } = taskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const amqp = await amqplib.connect(rabbitmqUrl, { noDelay: true })
const channel = await amqp.createConfirmChannel()
const body = Buffer.alloc(payloadBytes, 'a')
/** As long as a message id of ours. */
const messageId = '00000000-0000-7000-8000-000000000000'
const finished = Promise.withResolvers<void>()
const total = rows ?? 0
let sent = 0
let confirmed = 0

const fill = () => {
  while (sent < total && sent - confirmed < window) {
    sent += 1
    channel.publish('', queue, body, { persistent: true, mandatory: true, messageId }, onConfirm)
  }
}
const onConfirm = (error: unknown) => {
  if (error !== null) return finished.reject(error)
  confirmed += 1
  if (confirmed === total) finished.resolve()
  else fill()
}

const clock = startClock()
fill()
await finished.promise
clock.done(confirmed)
await amqp.close()
