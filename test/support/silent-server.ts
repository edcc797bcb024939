import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

/** A server that takes every connection and never says a word. */
export type SilentServer = {
  port: number
  /** How many clients are connected. */
  connections: () => number
  stop: () => Promise<void>
}

export const startSilentServer = async (): Promise<SilentServer> => {
  const clients = new Set<Socket>()
  const server = createServer((client) => {
    clients.add(client)
    client.on('error', () => client.destroy())
    client.on('close', () => clients.delete(client))
    // A client that is not read from is not heard to leave.
    client.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port')
  return {
    port: address.port,
    connections: () => clients.size,
    stop: async () => {
      for (const client of clients) client.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
