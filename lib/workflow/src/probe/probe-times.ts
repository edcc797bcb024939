/** How long a probe and its jobs are waited for, in milliseconds of the database's clock. */
export type ProbeTimes = {
  /** A job that waits for less is not thought about. */
  waitsMs: number
  /** The longest time that the broker leaves a message with a consumer, and a little more. */
  holdMs: number
  /** How long a worker may take, after a message came to it again, to take the job over. */
  takesMs: number
  /** A probe that was not seen is sent again after this, then after twice as long, up to twelve times. */
  againMs: number
}

const minuteMs = 60_000

/** RabbitMQ's `consumer_timeout`, unless it is told otherwise. */
export const defaultConsumerTimeoutMs = 30 * minuteMs

/** RabbitMQ looks once a minute which consumers are late. */
const looksMs = minuteMs

/** The times for a broker that leaves a message with a consumer for so long. */
export const probeTimes = (consumerTimeoutMs: number = defaultConsumerTimeoutMs): ProbeTimes => ({
  waitsMs: minuteMs,
  holdMs: consumerTimeoutMs + 2 * looksMs,
  takesMs: minuteMs / 2,
  againMs: 5 * minuteMs,
})
