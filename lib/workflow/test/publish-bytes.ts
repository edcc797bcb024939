import { connect } from 'amqplib'

/** Puts bytes into a queue as they are, such as no JSON. */
export const publishBytes = async (rabbitmqUrl: string, queue: string, bytes: Buffer): Promise<void> => {
  const connection = await connect(rabbitmqUrl)
  const channel = await connection.createConfirmChannel()
  channel.sendToQueue(queue, bytes, { persistent: true })
  await channel.waitForConfirms()
  await connection.close()
}
