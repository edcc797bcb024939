import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startStack } from '@esteira/dev/stack'
import { inject } from 'vitest'

/** No variables of Docker: a node of this machine takes the settings. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

export type OwnRabbitmq = {
  url: string
  /** Stops the node; `start` has it back at the same address, with its queues. */
  stop: () => Promise<void>
  start: () => Promise<void>
  /** Stops it for good. */
  drop: () => Promise<void>
}

/** Starts a RabbitMQ of the test's own. */
export const startOwnRabbitmq = async (
  rabbitmqSettings: Readonly<Record<string, number>> = {},
): Promise<OwnRabbitmq> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'esteira-rabbitmq-'))
  const start = () => startStack({ dataDir, env, databaseUrl: inject('stack').postgresUrl, rabbitmqSettings })
  let stack = await start()
  return {
    url: stack.rabbitmq.url,
    stop: () => stack.stop(),
    start: async () => {
      stack = await start()
    },
    drop: async () => {
      await stack.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/**
 * Starts one that takes a delivery back after `consumerTimeoutMs`; it looks four times in that. Others take half an hour,
 * and look once a minute.
 */
export const startImpatientRabbitmq = (consumerTimeoutMs: number): Promise<OwnRabbitmq> =>
  startOwnRabbitmq({ consumer_timeout: consumerTimeoutMs, channel_tick_interval: consumerTimeoutMs / 4 })
