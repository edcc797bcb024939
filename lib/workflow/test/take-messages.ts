import { connect, type ConsumeMessage } from 'amqplib'

/** Messages in somebody's hand, by the ids of their jobs: not acked, so that nobody else gets them. */
export type TakenMessages = {
  jobIds: string[]
  /** Drops those of some jobs, as if they had been done, and gives the others back to the queue. */
  drop: (isDropped: (jobId: string, place: number) => boolean) => Promise<void>
}

/** Takes the first `count` messages of a queue, without an ack. */
export const takeMessages = async (rabbitmqUrl: string, queue: string, count: number): Promise<TakenMessages> => {
  const connection = await connect(rabbitmqUrl)
  const channel = await connection.createChannel()
  await channel.prefetch(count)
  const messages: ConsumeMessage[] = []
  const taken = Promise.withResolvers<void>()
  await channel.consume(queue, (message) => {
    if (message !== null) messages.push(message)
    if (messages.length === count) taken.resolve()
  })
  await taken.promise
  const jobIds = messages.map(({ content }) => jobIdOf(JSON.parse(content.toString('utf8'))))
  return {
    jobIds,
    drop: async (isDropped) => {
      for (const [place, message] of messages.entries()) {
        if (isDropped(jobIds[place] ?? '', place)) channel.ack(message)
      }
      await channel.close()
      await connection.close()
    },
  }
}

const jobIdOf = (reference: unknown): string => {
  if (typeof reference === 'object' && reference !== null && 'jobId' in reference) return String(reference.jobId)
  throw new Error('a message is no reference to a job')
}
