import { connect, createServer, type Socket } from 'node:net'
import { createConfirmWatch } from './confirm-watch.ts'

/** A link between a client and a server that a test can break. */
export type Proxy = {
  /** The server's address with the proxy's port in it. */
  url: string
  /** Breaks every connection, and each new one at once, until `resume`. */
  cut: () => void
  /** Breaks every connection for its client alone: the server hears nothing of it. New ones pass. */
  breakForClients: () => void
  /** Holds back what the server sends, until `resume`; what is held back when a connection breaks is lost. */
  pause: () => void
  /** Takes nothing more from either side of the connections that there are, until `resume`. New ones pass. */
  silence: () => void
  resume: () => void
  /** Goes silent, as by `pause`, as soon as a client sends these words next; they do reach the server. */
  pauseBehind: (words: string) => void
  /**
   * Breaks all connections just before RabbitMQ's next publisher confirm would pass; new ones pass. Resolves when that
   * has happened.
   */
  dropNextConfirm: () => Promise<void>
  /** How many clients are connected. */
  connections: () => number
  stop: () => Promise<void>
}

type ProxyOptions = {
  /** The address of this machine that it listens at, 127.0.0.1 if left out: one that pods reach, for example. */
  host?: string
}

/** Starts a proxy on a port of its own in front of the address of a server: Postgres, RabbitMQ or one of HTTP. */
export const startProxy = async (targetUrl: string, { host = '127.0.0.1' }: ProxyOptions = {}): Promise<Proxy> => {
  const target = new URL(targetUrl)
  const links = new Set<{ client: Socket; server: Socket }>()
  const withoutClient = new Set<Socket>()
  let state: 'open' | 'paused' | 'cut' = 'open'
  let onConfirm: (() => void) | undefined
  let pauseWords: string | undefined

  const breakAll = () => {
    for (const { client, server } of links) {
      client.destroy()
      server.destroy()
    }
  }

  const pause = () => {
    state = 'paused'
    for (const { server } of links) server.pause()
  }

  const listener = createServer((client) => {
    if (state === 'cut') {
      client.destroy()
      return
    }
    const server = connect(Number(target.port), target.hostname)
    const link = { client, server }
    links.add(link)
    const end = () => {
      links.delete(link)
      client.destroy()
      if (!withoutClient.has(server)) server.destroy()
    }
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.once('close', end)
      // A broken connection is what a proxy is for; its close follows.
      socket.on('error', end)
    }
    const holdsConfirm = createConfirmWatch()
    client.on('data', (bytes) => {
      if (pauseWords !== undefined && bytes.includes(pauseWords)) {
        pauseWords = undefined
        pause()
      }
      server.write(bytes)
    })
    server.on('data', (bytes) => {
      const confirmed = target.protocol === 'amqp:' && holdsConfirm(bytes)
      if (!confirmed || onConfirm === undefined) {
        client.write(bytes)
        return
      }
      // The whole chunk is lost with it: what else it holds was on the same broken wire.
      const dropped = onConfirm
      onConfirm = undefined
      breakAll()
      dropped()
    })
    if (state === 'paused') server.pause()
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, host, resolve)
  })
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy listens on no port')
  const url = new URL(targetUrl)
  url.hostname = host
  url.port = String(address.port)

  return {
    url: url.href,
    cut: () => {
      state = 'cut'
      breakAll()
    },
    breakForClients: () => {
      for (const { client, server } of links) {
        withoutClient.add(server)
        client.destroy()
      }
    },
    pause,
    silence: () => {
      for (const { client, server } of links) {
        client.pause()
        server.pause()
      }
    },
    resume: () => {
      state = 'open'
      pauseWords = undefined
      for (const { client, server } of links) {
        client.resume()
        server.resume()
      }
    },
    pauseBehind: (words) => {
      pauseWords = words
    },
    dropNextConfirm: () =>
      new Promise((resolve) => {
        onConfirm = resolve
      }),
    connections: () => links.size,
    stop: async () => {
      breakAll()
      for (const server of withoutClient) server.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}
