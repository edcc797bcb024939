import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { keepRunning, type KeptProcess } from '../../processes/keep-running.ts'
import type { DataFolder } from '../folder/data-folder.ts'
import { firstReady, partEvents } from '../part-events.ts'
import type { Observe } from '../service.ts'
import type { RabbitmqServer } from './find-server.ts'

/**
 * Runs the Erlang port mapper of our node on a port of its own, in the foreground. Erlang would start one as a daemon
 * that outlives the node and that nobody could tell from another's. A node whose port mapper was killed goes on, and
 * RabbitMQ registers with the new one within a minute.
 */
export const startEpmd = async (options: {
  folder: DataFolder
  server: RabbitmqServer
  env: Record<string, string>
  port: number
  observe: Observe
  signal: AbortSignal
}): Promise<KeptProcess<void>> => {
  const { folder, server, env, port, observe, signal } = options
  const epmd = keepRunning({
    name: 'epmd',
    role: 'service',
    mark: `epmd -port ${port} -address`,
    stopSignal: 'SIGTERM',
    graceMs: 2_000,
    logFile: folder.logFile('epmd'),
    spawn: (log) =>
      spawn(server.epmd, ['-port', String(port), '-address', '127.0.0.1'], {
        cwd: folder.path,
        env,
        detached: true,
        stdio: ['ignore', log, log],
      }),
    answers: (stillUp) => listens(port, stillUp),
    readyWithinMs: 10_000,
    restart: true,
    registry: folder.registry,
    observe: partEvents(observe, { service: 'rabbitmq', part: 'epmd' }),
  })
  await firstReady(epmd, signal)
  return epmd
}

const listens = async (port: number, signal: AbortSignal): Promise<void> => {
  while (!(await canConnect(port))) await delay(20, undefined, { signal })
}

const canConnect = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (connected: boolean) => {
      socket.destroy()
      resolve(connected)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
