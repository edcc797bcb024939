import { listParked, retryParked } from '@esteira/outbox'
import pg from 'pg'
import { type Broker, openBroker } from '../../support/broker.ts'
import { waitFor } from '../../support/wait-for.ts'
import { astray, queues } from './keys.ts'
import { quorum } from './programs.ts'

/** What keeps some of the messages from their queues, until it is mended. */
export type Troubles = {
  /** The queue comes that messages have waited for. */
  comeLate: () => Promise<void>
  /** Resolves when a parked message holds back its key. */
  heldKey: () => Promise<void>
  /** Messages that went astray have a queue from now on. */
  mend: () => Promise<void>
  /** Puts parked messages back that a queue takes by now, and tells how many of them held back a key. */
  retry: () => Promise<number>
}

/** More than are ever parked. */
const atMost = 1_000_000

/** Whatever is asked of a server that was struck is asked again. */
const asking = { deadlineMs: 120_000, describe: 'a server to answer' }

export const createTroubles = (databaseUrl: string, rabbitmqUrl: string): Troubles => {
  const withBroker = (ask: (broker: Broker) => Promise<void>) =>
    waitFor(async () => {
      const broker = await openBroker(rabbitmqUrl)
      try {
        await ask(broker)
        return true
      } finally {
        await broker.close()
      }
    }, asking)
  const withDatabase = async <Answer>(ask: (db: pg.Client) => Promise<Answer>): Promise<Answer> => {
    const db = new pg.Client(databaseUrl)
    db.on('error', () => undefined)
    await db.connect()
    try {
      return await ask(db)
    } finally {
      await db.end()
    }
  }
  const putBack = async (db: pg.Client): Promise<number> => {
    let keys = 0
    for (const parked of await listParked(db, { limit: atMost })) {
      if (!isTakenNow(parked) || !(await retryParked(db, parked))) continue
      if (parked.orderingKey !== null) keys += 1
    }
    return keys
  }
  const isKeyHeld = async (db: pg.Client): Promise<boolean> =>
    (await listParked(db, { limit: atMost })).some(
      (parked) => parked.orderingKey !== null && parked.routingKey === astray.routingKey,
    )
  return {
    comeLate: async () => {
      await withBroker((broker) => broker.declareQueue(queues.late, quorum))
    },
    heldKey: async () => {
      await waitFor(() => withDatabase(isKeyHeld), { ...asking, describe: 'a keyed message to be parked' })
    },
    mend: async () => {
      await withBroker((broker) => broker.bindQueue(queues.here, astray.exchange, astray.routingKey))
    },
    retry: () => waitFor(async () => ({ keys: await withDatabase(putBack) }), asking).then(({ keys }) => keys),
  }
}

const isTakenNow = ({ exchange, routingKey }: { exchange: string; routingKey: string }): boolean =>
  (exchange === astray.exchange && routingKey === astray.routingKey) || (exchange === '' && routingKey === queues.full)
