import { reasonOf, withoutPassword } from '@esteira/service'
import { connect } from 'amqplib'
import { WorkflowError } from '../errors.ts'

/**
 * Sees that RabbitMQ lets us in: a worker would wait for it for as long as it takes.
 *
 * @throws WorkflowError `broker_unavailable`.
 */
export const expectBroker = (rabbitmqUrl: string): Promise<void> => onBroker(rabbitmqUrl, async () => {})

/** Deletes queues with whatever is in them. */
export const deleteQueues = (rabbitmqUrl: string, names: readonly string[]): Promise<void> =>
  onBroker(rabbitmqUrl, async (connection) => {
    const channel = await connection.createChannel()
    for (const name of names) await channel.deleteQueue(name)
  })

type Connection = Awaited<ReturnType<typeof connect>>

const onBroker = async (rabbitmqUrl: string, work: (connection: Connection) => Promise<void>): Promise<void> => {
  const connection = await connect(rabbitmqUrl, { timeout: 10_000 }).catch((cause: unknown) => {
    const reason = `RabbitMQ at ${withoutPassword(rabbitmqUrl)}: ${reasonOf(cause)}`
    throw new WorkflowError('broker_unavailable', reason, { cause, final: false })
  })
  try {
    await work(connection)
  } finally {
    await connection.close()
  }
}
