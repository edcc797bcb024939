import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import type { Observe } from '../service.ts'
import type { DataFolder } from './data-folder.ts'
import type { StackState } from './state.ts'

/**
 * Gives a data folder's port of that name: the one of the last start where it is free, else a new one, which is
 * observed and remembered. Nothing of the folder's own may be running, so whoever holds the port is a stranger.
 */
export const choosePort = async (
  folder: DataFolder,
  name: keyof StackState['ports'],
  observe: Observe,
): Promise<number> => {
  const before = folder.state().ports[name]
  if (before !== undefined && (await isFree(before))) return before
  const port = await freePort(new Set(Object.values(folder.state().ports)))
  if (before !== undefined) observe({ kind: 'port.moved', name, from: before, to: port })
  folder.remember({ ports: { ...folder.state().ports, [name]: port } })
  return port
}

/**
 * Below the ports that systems give to outgoing connections (from 32,768 on Linux, 49,152 on macOS): a server that is
 * started again must find its port free, not lent to somebody's connection meanwhile.
 */
const lowest = 20_000
const highest = 32_000

/** A port of 127.0.0.1 that nobody listens on now, and that stays free for a server that is started again. */
export const freePort = async (taken: ReadonlySet<number | undefined> = new Set()): Promise<number> => {
  for (let tries = 0; tries < 200; tries++) {
    const port = randomInt(lowest, highest)
    if (!taken.has(port) && (await isFree(port))) return port
  }
  throw new Error(`no port from ${lowest} to ${highest} seems to be free`)
}

/** Whether a server can listen on a port of 127.0.0.1. */
export const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      if ('code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) resolve(false)
      else reject(error)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
