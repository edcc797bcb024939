/** What of a message of amqplib tells it from the others of its channel. */
type Tagged = { fields: { deliveryTag: number } }

/** An ack to send: of this message alone, or of all on its channel up to it. */
export type Ack<Message> = { message: Message; allUpTo: boolean }

/**
 * The messages that a channel has handed out and that are not answered yet. Those that are done wait here to be acked
 * together: one ack for all below the first that is not done, and one each above it, so that a slow job holds back the
 * ack of no other.
 */
export const createInHand = <Message extends Tagged>() => {
  // A channel numbers its messages upwards, so they lie here in the order of their tags.
  const open = new Set<Message>()
  let done: Message[] = []
  return {
    take: (message: Message): void => void open.add(message),

    /** Marks a message as done; false if it was answered before. */
    finish: (message: Message): boolean => {
      if (!open.delete(message)) return false
      done.push(message)
      return true
    },

    /** Takes out a message that goes back to its queue at once; false if it was answered before. */
    giveUp: (message: Message): boolean => open.delete(message),

    /** The acks of what was done since the last call. */
    takeAcks: (): Ack<Message>[] => {
      const finished = done.toSorted((a, b) => a.fields.deliveryTag - b.fields.deliveryTag)
      done = []
      const [firstOpen] = open
      const end = firstOpen?.fields.deliveryTag ?? Infinity
      const below = finished.filter(({ fields }) => fields.deliveryTag < end)
      const last = below.at(-1)
      const together = last === undefined ? [] : [{ message: last, allUpTo: below.length > 1 }]
      return [...together, ...finished.slice(below.length).map((message) => ({ message, allUpTo: false }))]
    },

    size: (): number => open.size + done.length,

    /** Forgets all: the channel has ended, and its messages have gone back by themselves. */
    clear: (): void => {
      open.clear()
      done = []
    },
  }
}
