import amqplib from 'amqplib'
import pg from 'pg'
import { enqueue, type OutboxMessage, registerLane } from '../src/index.ts'
import { lockClasses, ownedLanesSql } from '../src/relay/own/lane-lock.ts'
import { createRelay, type Observation, type Relay, type RelayOptions } from '../src/relay/index.ts'
import { drainQueue } from './drain-queue.ts'

/** A message as it lies in a queue. */
export type Received = { messageId: string; payload: unknown; headers: Record<string, unknown> }

type Address = { databaseUrl: string; rabbitmqUrl: string }

/**
 * A lane of its own with what a test does around it: writers, relays and queues. `close` stops every relay that was
 * made, and closes the connections.
 */
export const openLane = async (name: string, { databaseUrl, rabbitmqUrl }: Address) => {
  const db = new pg.Client(databaseUrl)
  await db.connect()
  const id = await registerLane(db, name)
  const amqp = await amqplib.connect(rabbitmqUrl)
  const channel = await amqp.createChannel()
  const relays = new Set<Relay>()

  const inTransaction = async (end: 'commit' | 'rollback', messages: readonly OutboxMessage[]) => {
    await db.query('begin')
    await enqueue(db, messages, { lane: id })
    await db.query(end)
  }

  return {
    id,
    name,
    db,
    channel,
    commit: (...messages: OutboxMessage[]) => inTransaction('commit', messages),
    rollBack: (...messages: OutboxMessage[]) => inTransaction('rollback', messages),
    /** A relay of this lane, with everything it observes. */
    relay: (options: Partial<RelayOptions> = {}) => {
      const observed: Observation[] = []
      const relay = createRelay({
        databaseUrl,
        rabbitmqUrl,
        lane: name,
        // Lanes of other tests are in the same database.
        adopt: false,
        observe: (observation) => observed.push(observation),
        ...options,
      })
      relays.add(relay)
      const saw = (kind: Observation['kind']) => observed.filter((observation) => observation.kind === kind)
      // How that ended is for the test to say.
      const stop: Relay['stop'] = (asked) => relay.stop(asked).finally(() => relays.delete(relay))
      return { ...relay, stop, saw }
    },
    declareQueue: async (queue: string, type: 'classic' | 'quorum' = 'classic') => {
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': type } })
    },
    /** Everything that is in the queue now, taken out of it in order. */
    take: async (queue: string): Promise<Received[]> =>
      (await drainQueue(channel, queue)).map(({ content, properties }) => ({
        messageId: String(properties.messageId),
        payload: JSON.parse(content.toString()),
        headers: { ...properties.headers },
      })),
    count: async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount,
    /** Rows that Postgres read of a table since `forgetReads`. A session says what it read when it ends, or rests. */
    rowsRead: async (table: 'outbox_message' | 'outbox_scheduled'): Promise<number> => {
      const { rows } = await db.query<{ read: number }>(
        `select (seq_tup_read + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = $1))::int as read
         from pg_stat_user_tables where relname = $1`,
        [table],
      )
      return rows[0]?.read ?? 0
    },
    forgetReads: async (): Promise<void> => {
      // What this session has read itself would be told later, and count.
      await db.query('select pg_stat_force_next_flush()')
      await db.query('select pg_stat_reset()')
    },
    /** How many rows of the lane wait in the table. */
    rows: async (table: 'outbox_message' | 'outbox_scheduled' = 'outbox_message'): Promise<number> => {
      const { rowCount } = await db.query(`select from ${table} where lane = $1`, [id])
      return rowCount ?? 0
    },
    /** Whether its relay sleeps, so that a commit rings; that of another lane by its number. */
    isAsleep: async (of = id): Promise<boolean> => (await sleepers(db)).includes(of),
    close: async () => {
      await Promise.all([...relays].map((relay) => relay.stop({ graceMs: 0 })))
      await amqp.close()
      await db.end()
    },
  }
}

/** The lanes whose relays sleep. */
export const sleepers = async (db: pg.Client): Promise<number[]> => {
  const { rows } = await db.query<{ lane: number }>(`select lane from (${ownedLanesSql}) as locks (lane)`, [
    lockClasses.sleeper,
  ])
  return rows.map(({ lane }) => lane)
}

export type LaneUnderTest = Awaited<ReturnType<typeof openLane>>
