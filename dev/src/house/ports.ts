import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'

/** A port of 127.0.0.1 that nobody else gets before it is released. */
export type HeldPort = { port: number; release: () => Promise<void> }

/** How many ports are tried before it is said that none is free. */
const tries = 100

/**
 * Takes the first free port of 127.0.0.1 from `first` on. It is held until what shall listen there starts, some seconds
 * later: a second house that is started meanwhile would find the same one free.
 *
 * @throws Error when a hundred in a row are taken.
 */
export const holdFirstFreePort = async (first: number): Promise<HeldPort> => {
  for (let port = first; port < first + tries; port += 1) {
    const held = await holdPort(port)
    if (held !== null) return held
  }
  throw new Error(`no port from ${first} to ${first + tries - 1} is free`)
}

/** Below the ports that systems give to outgoing connections, which could have it when a server is started again. */
const [lowest, highest] = [20_000, 32_000]

/**
 * Takes a port of 127.0.0.1 by chance, for what nobody needs to find by its port. Two houses that are started at the
 * same time also release their ports at the same time, and would take each other's if both looked from one number on.
 *
 * @throws Error when a hundred of them are taken.
 */
export const holdSomePort = async (): Promise<HeldPort> => {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const held = await holdPort(randomInt(lowest, highest))
    if (held !== null) return held
  }
  throw new Error(`no port from ${lowest} to ${highest} seems to be free`)
}

/** Takes a port of 127.0.0.1; null when somebody else has it. */
export const holdPort = async (port: number): Promise<HeldPort | null> => {
  // Who connects meanwhile is better turned away than kept waiting.
  const server = createServer((socket) => socket.destroy())
  // A start that fails before it releases the port must still come to its end.
  server.unref()
  if (!(await listens(server, port))) return null
  return { port, release: () => new Promise((resolve) => server.close(() => resolve())) }
}

const listens = (server: Server, port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => {
      // EACCES: a port that only root may take.
      if ('code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) resolve(false)
      else reject(error)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(true))
  })
