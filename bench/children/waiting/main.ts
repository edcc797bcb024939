import { once } from 'node:events'
import { setInterval } from 'node:timers/promises'
import amqplib from 'amqplib'
import pg from 'pg'

/**
 * What any process costs on this machine that is connected to both servers and has nothing to do: one statement a second,
 * and RabbitMQ's heartbeats. Until SIGTERM.
 */
const [databaseUrl, rabbitmqUrl] = process.argv.slice(2)
if (databaseUrl === undefined || rabbitmqUrl === undefined) throw new Error('needs the URLs of Postgres and RabbitMQ')
const ended = new AbortController()
void once(process, 'SIGTERM').then(() => ended.abort())
const db = new pg.Client(databaseUrl)
const [amqp] = await Promise.all([amqplib.connect(rabbitmqUrl), db.connect()])
try {
  for await (const _ of setInterval(1_000, undefined, { signal: ended.signal })) await db.query('select 1')
} catch (error) {
  if (!ended.signal.aborted) throw error
}
await Promise.all([amqp.close(), db.end()])
