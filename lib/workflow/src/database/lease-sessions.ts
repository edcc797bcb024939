import type { PostgreSqlConnection } from '@mikro-orm/postgresql'

/** The `pg` pool that MikroORM keeps. */
type Pool = Awaited<ReturnType<PostgreSqlConnection['getNativeClient']>>

/** What Kysely, which MikroORM uses, needs of a client of the pool. A cursor is given to it in place of a text. */
type Client = { query: (...given: unknown[]) => unknown; release: () => void; processID?: number | null }

/**
 * Lends a session for one transaction and no longer. Whoever still has it then, such as a savepoint that somebody opened
 * and nobody waited for, is refused: Kysely (0.29.6) would send what he says all the same, by itself behind the commit, or
 * in the transaction of whoever has the session next.
 */
export const leaseSessions = (pool: Pool): void => {
  const connect: () => Promise<Client> = pool.connect.bind(pool)
  Object.assign(pool, { connect: async () => leaseOf(await connect()) })
}

const leaseOf = (client: Client): Client => {
  let isOver = false
  let isReleased = false
  return {
    processID: client.processID ?? null,
    query: (...given) => {
      const [text] = given
      // A commit that was refused is rolled back.
      if (isReleased || (isOver && text !== 'rollback')) throw new Error('the transaction is over')
      // As soon as it is sent: what is sent before the answer comes is behind it already.
      if (text === 'commit' || text === 'rollback') isOver = true
      return client.query(...given)
    },
    release: () => {
      isReleased = true
      client.release()
    },
  }
}
