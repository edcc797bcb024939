import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startStack } from '@esteira/dev/stack'
import { inject } from 'vitest'

/** No variables of Docker: a node of this machine takes the settings. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

/**
 * Starts a RabbitMQ of the test's own, which takes a delivery back after `consumerTimeoutMs`; it looks four times in that.
 * Others take half an hour, and look once a minute.
 */
export const startImpatientRabbitmq = async (
  consumerTimeoutMs: number,
): Promise<{ url: string; stop: () => Promise<void> }> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'esteira-rabbitmq-'))
  const stack = await startStack({
    dataDir,
    env,
    databaseUrl: inject('stack').postgresUrl,
    rabbitmqSettings: { consumer_timeout: consumerTimeoutMs, channel_tick_interval: consumerTimeoutMs / 4 },
  })
  return {
    url: stack.rabbitmq.url,
    stop: async () => {
      await stack.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
