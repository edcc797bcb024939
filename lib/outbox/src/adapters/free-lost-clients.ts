import type { PostgreSqlConnection } from '@mikro-orm/postgresql'

/** The `pg` pool that MikroORM keeps, and what is needed of its clients. */
type Pool = Awaited<ReturnType<PostgreSqlConnection['getNativeClient']>>
type Client = { release: (destroy: boolean) => void }

/**
 * Gives back the clients whose session ended while they were in use. MikroORM's Kysely (0.29.6) keeps a client for good
 * when the session ends within a transaction, since the rollback fails then too (kysely issue 1990). Without this every
 * such session takes a place of the pool, until whoever needs one waits for ever, and closing the pool waits for the lost
 * ones too.
 */
export const freeLostClients = (pool: Pool): void => {
  const inUse = new Set<Client>()
  pool.on('acquire', (client) => inUse.add(client))
  pool.on('release', (_, client) => inUse.delete(client))
  pool.on('connect', (client) => {
    // Whoever gives a client back by himself does so before the next turn of the event loop, and only he may then.
    client.once('end', () => setImmediate(() => inUse.has(client) && client.release(true)))
  })
}
