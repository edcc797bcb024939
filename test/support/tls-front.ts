import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createSecureContext, TLSSocket } from 'node:tls'

const folder = join(import.meta.dirname, 'tls')
const fileOf = (name: string): string => join(folder, name)

/** The certificate of who signed that of the front: a file for `sslrootcert` of Postgres, and for `NODE_EXTRA_CA_CERTS`. */
export const certificateAuthority = fileOf('ca.pem')

/** A server that is reached by TLS alone. */
export type TlsFront = {
  /** Its address, without a word about certificates: `postgres:` as before, `amqps:` for RabbitMQ. */
  url: string
  /** How many connections have come over by TLS so far. */
  secured: () => number
  stop: () => Promise<void>
}

/** What a client of Postgres begins with to ask for TLS, and the answer that there is. */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const sslThereIs = Buffer.from('S')

/** Has TLS in front of the address of Postgres or RabbitMQ, with the certificate of `localhost` and 127.0.0.1. */
export const startTlsFront = async (targetUrl: string): Promise<TlsFront> => {
  const target = new URL(targetUrl)
  const isPostgres = target.protocol === 'postgres:' || target.protocol === 'postgresql:'
  const secureContext = createSecureContext({
    cert: readFileSync(fileOf('server.pem')),
    key: readFileSync(fileOf('server.key')),
  })
  const sockets = new Set<Socket>()
  let secured = 0

  const secure = (client: Socket): void => {
    const plain = new TLSSocket(client, { isServer: true, secureContext })
    plain.once('secure', () => {
      secured += 1
    })
    const server = connect(Number(target.port), target.hostname)
    for (const socket of [plain, server]) {
      sockets.add(socket)
      const end = () => {
        sockets.delete(socket)
        plain.destroy()
        server.destroy()
      }
      // One that refuses the certificate breaks the connection; its close follows.
      socket.on('error', end).once('close', end)
    }
    plain.pipe(server).pipe(plain)
  }

  const secureWhenAsked = (client: Socket): void => {
    client.on('error', () => client.destroy())
    client.once('data', (bytes) => {
      if (!bytes.equals(sslRequest)) {
        client.destroy()
        return
      }
      client.write(sslThereIs)
      secure(client)
    })
  }

  const listener = createServer(isPostgres ? secureWhenAsked : secure)
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('the front listens on no port')
  const url = new URL(isPostgres ? targetUrl : targetUrl.replace(/^amqp:/, 'amqps:'))
  url.hostname = '127.0.0.1'
  url.port = String(address.port)
  return {
    url: url.href,
    secured: () => secured,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
