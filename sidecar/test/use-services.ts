import { registerLane, enqueue } from '@esteira/outbox'
import { cloneDatabase, createVhost } from '@esteira/test/support'
import amqplib from 'amqplib'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'

/** The services of the file, with a connection to each. */
export let database: Awaited<ReturnType<typeof cloneDatabase>>
export let vhost: Awaited<ReturnType<typeof createVhost>>
export let db: pg.Client
export let channel: amqplib.Channel

/** Gives a test file a database and a virtual host of its own. */
export const useServices = (): void => {
  let amqp: amqplib.ChannelModel
  beforeAll(async () => {
    ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
    db = new pg.Client(database.url)
    await db.connect()
    amqp = await amqplib.connect(vhost.url)
    channel = await amqp.createChannel()
  })
  afterAll(async () => {
    await amqp.close()
    await db.end()
    await Promise.all([database.drop(), vhost.drop()])
  })
}

/** What a relay needs to carry the lane. */
export const environment = (lane: string) => ({
  DATABASE_URL: database.url,
  RABBITMQ_URL: vhost.url,
  ESTEIRA_LANE: lane,
  ESTEIRA_GRACE_MS: '10000',
})

/** Commits messages in the lane, for the queue of its name. */
export const commit = async (
  lane: string,
  payloads: readonly unknown[],
  headers: Record<string, string> = {},
): Promise<void> => {
  const id = await registerLane(db, lane)
  await db.query('begin')
  await enqueue(
    db,
    payloads.map((payload) => ({ routingKey: lane, payload, headers })),
    { lane: id },
  )
  await db.query('commit')
}

export const count = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount

/** How many rows of a lane wait. */
export const rowsOf = async (lane: string): Promise<number | null> => {
  const laneId = '(select id from outbox_lane where name = $1)'
  return (await db.query(`select from outbox_message where lane = ${laneId}`, [lane])).rowCount
}
