import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to Postgres on which the answer to the first statement of this name comes so much later. */
export const startSlowProxy = async (databaseUrl: string, { statement = '', delayMs = 0 }) => {
  const url = new URL(databaseUrl)
  const target = { host: url.hostname, port: Number(url.port) }
  const sockets = new Set<Socket>()
  let isDelayed = false
  const server = createServer((client) => {
    const postgres = connect(target)
    client.on('data', (bytes) => {
      if (!isDelayed && bytes.includes(statement)) {
        isDelayed = true
        postgres.pause()
        setTimeout(() => postgres.resume(), delayMs)
      }
      postgres.write(bytes)
    })
    postgres.on('data', (bytes) => client.write(bytes))
    for (const [one, other] of [
      [client, postgres],
      [postgres, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  url.port = String(address.port)
  return {
    url: url.href,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
