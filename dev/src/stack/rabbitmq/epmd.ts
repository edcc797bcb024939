import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { keepRunning, type KeptProcess } from '../../processes/keep-running.ts'
import { askUntil } from '../ask-until.ts'
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
    answers: (stillUp) => askUntil(() => connectOnce(port), 20, stillUp),
    readyWithinMs: 10_000,
    restart: true,
    registry: folder.registry,
    observe: partEvents(observe, { service: 'rabbitmq', part: 'epmd' }),
  })
  await firstReady(epmd, signal)
  return epmd
}

const connectOnce = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
