import { randomBytes } from 'node:crypto'
import { registerLane } from '@esteira/outbox'
import { ensureDatabase, type Stack } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import amqplib from 'amqplib'
import pg from 'pg'

/** Where one bench works: a migrated database, a lane in it and a quorum queue, all of its own. */
export type Place = {
  databaseUrl: string
  rabbitmqUrl: string
  db: pg.Client
  /** The server's own database, to look at ours from without. */
  admin: pg.Client
  channel: amqplib.Channel
  lane: { id: number; name: string }
  queue: string
  /** Drops the database and the queue. */
  close: () => Promise<void>
}

export const openPlace = async ({ postgres, rabbitmq }: Stack, bench: string): Promise<Place> => {
  const name = `bench_${bench}_${randomBytes(3).toString('hex')}`
  const databaseUrl = await ensureDatabase(postgres.url, name)
  await migrate(databaseUrl)
  const [db, admin] = [new pg.Client(databaseUrl), new pg.Client(postgres.url)]
  await Promise.all([db.connect(), admin.connect()])
  const amqp = await amqplib.connect(rabbitmq.url)
  const channel = await amqp.createChannel()
  await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  return {
    databaseUrl,
    rabbitmqUrl: rabbitmq.url,
    db,
    admin,
    channel,
    lane: { id: await registerLane(db, name), name },
    queue: name,
    close: async () => {
      await channel.deleteQueue(name)
      await amqp.close()
      await db.end()
      await admin.query(`drop database ${pg.escapeIdentifier(name)} with (force)`)
      await admin.end()
    },
  }
}
