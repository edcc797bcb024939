import type { PostgreSqlConnection } from '@mikro-orm/postgresql'
import { readOnly } from './is-transient.ts'

/** The `pg` pool that MikroORM keeps. */
type Pool = Awaited<ReturnType<PostgreSqlConnection['getNativeClient']>>

/**
 * Ends the sessions of a server that refused a write because it takes none, when they are given back. After a failover the
 * server of before may be up again as a standby; nothing would end a session with it, and by now the address is another
 * server's.
 */
export const leaveStandbys = (pool: Pool): void => {
  const refused = new WeakSet<object>()
  pool.on('connect', (client) => {
    client.connection.on('errorMessage', ({ code }) => code === readOnly && refused.add(client))
  })
  // The pool keeps no client whose end has begun.
  pool.on('release', (_, client) => void (refused.has(client) && client.end()))
}
