import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * Starts a way to the server of an address, another port of this machine. `carry` has both ends of each connection, and
 * passes on what comes in at either; the server's end is ended with the client's.
 */
export const startWay = async (address: string, carry: (client: Socket, server: Socket) => void) => {
  const url = new URL(address)
  const target = { host: url.hostname, port: Number(url.port) }
  const sockets = new Set<Socket>()
  const way = createServer((client) => {
    const server = connect(target)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('close', () => server.destroy())
    carry(client, server)
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  const own = way.address()
  if (own === null || typeof own === 'string') throw new Error('the way has no port')
  url.port = String(own.port)
  return {
    url: url.href,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      way.close()
      await once(way, 'close')
    },
  }
}
