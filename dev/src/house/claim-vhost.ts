import { reasonOf, withoutPassword } from '@esteira/service'
import { connect } from 'amqplib'
import * as z from 'zod'
import { type RabbitmqService, StackError } from '../stack/index.ts'
import { queryOnce } from './query-once.ts'

const mark = 'esteira.house'

/**
 * Marks a virtual host, for good, as the one of a database. A house with another database would take the messages there
 * for those of unknown jobs, and drop them.
 *
 * @throws StackError `vhost_taken`, or `unreachable` when the broker does not let the user in.
 */
export const claimVhost = async (
  { url, source }: Pick<RabbitmqService, 'url' | 'source'>,
  databaseUrl: string,
): Promise<void> => {
  const database = await identityOf(databaseUrl)
  const address = withoutPassword(url)
  try {
    await declareMark(url, database)
  } catch (cause) {
    if (!isRefusedMark(cause)) {
      throw new StackError('unreachable', `rabbitmq at ${address} refuses: ${reasonOf(cause)}`, { cause })
    }
    const others = source === 'given' ? 'RABBITMQ_URL takes another virtual host' : '--data takes another folder'
    throw new StackError(
      'vhost_taken',
      `rabbitmq at ${address} is used by a house with another database, and would lose its messages to this one; ` +
        `${others}, or delete the exchange ${mark} there if that house is gone`,
      { cause },
    )
  }
}

/** The same for as long as the server's data and the database's name are. */
const identityOf = async (databaseUrl: string): Promise<string> => {
  const rows = await queryOnce(databaseUrl, sql)
  return z.tuple([z.object({ id: z.string() })]).parse(rows)[0].id
}

const sql = `select concat(system_identifier, '/', current_database()) as id from pg_control_system()`

/** Of all that is said of an exchange, its alternate is what RabbitMQ compares that can be any name. */
const declareMark = async (rabbitmqUrl: string, database: string): Promise<void> => {
  const connection = await connect(rabbitmqUrl, { timeout: 10_000 })
  try {
    const channel = await connection.createChannel()
    // What rejects below is an event as well, and one without a listener would end the process.
    for (const emitter of [connection, channel]) emitter.on('error', () => {})
    await channel.assertExchange(mark, 'fanout', { internal: true, alternateExchange: database })
  } finally {
    await connection.close()
  }
}

const preconditionFailed = 406

const isRefusedMark = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === preconditionFailed
