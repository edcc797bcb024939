/** The parts of Rascal by which it opens a connection; its own types have none of them. */

declare module 'rascal/lib/config/configure.js' {
  import type { BrokerConfig } from 'rascal'

  /** Settings with all that Rascal adds to them, such as the address of each connection with its options. */
  export type Configured = { vhosts: Record<string, object> }

  const configure: (config: BrokerConfig, next: (error: Error | null, configured: Configured) => void) => void
  export default configure
}

declare module 'rascal/lib/amqp/tasks/createConnection.js' {
  import type { Connection } from 'amqplib/callback_api'

  /** Tries the connections of a virtual host one after the other, beginning at `connectionIndex`. */
  const createConnection: (
    vhost: object,
    context: { connectionIndex: number },
    next: (error: Error | null, vhost: object, context: { connection?: Connection }) => void,
  ) => void
  export default createConnection
}
