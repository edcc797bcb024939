import { waitFor } from '@esteira/test/support'
import { connect, type ConsumeMessage } from 'amqplib'

/** Messages in somebody's hand, by the ids of their jobs: not acked, so that nobody else gets them. */
export type TakenMessages = {
  jobIds: string[]
  /** Drops those of some jobs, as if they had been done, and gives the others back to the queue. */
  drop: (isDropped: (jobId: string, place: number) => boolean) => Promise<void>
}

/** Takes the first `count` messages of a queue, without an ack. */
export const takeMessages = async (rabbitmqUrl: string, queue: string, count: number): Promise<TakenMessages> => {
  const hand = await hold(rabbitmqUrl, queue, count)
  const { jobIds } = hand
  return {
    jobIds,
    drop: async (isDropped) => {
      const dropped = new Set(jobIds.filter(isDropped))
      const kept = count - dropped.size
      let left = await hand.giveBack(dropped, kept)
      // A queue of quorum may lose acks that are still on their way to it when the channel closes: those come back.
      while (left > kept) left = await (await hold(rabbitmqUrl, queue, left)).giveBack(dropped, kept)
    },
  }
}

const hold = async (rabbitmqUrl: string, queue: string, count: number) => {
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
    /** Acks those of some jobs; gives how many the queue has when the others, at least so many, are back. */
    giveBack: async (dropped: ReadonlySet<string>, least: number): Promise<number> => {
      for (const [place, message] of messages.entries()) {
        if (dropped.has(jobIds[place] ?? '')) channel.ack(message)
      }
      await channel.close()
      const looking = await connection.createChannel()
      let left = 0
      await waitFor(async () => {
        left = (await looking.checkQueue(queue)).messageCount
        return left >= least
      })
      await connection.close()
      return left
    },
  }
}

const jobIdOf = (reference: unknown): string => {
  if (typeof reference === 'object' && reference !== null && 'jobId' in reference) return String(reference.jobId)
  throw new Error('a message is no reference to a job')
}
