import { spawn } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { keepRunning } from '../../processes/keep-running.ts'
import type { DataFolder } from '../folder/data-folder.ts'
import { choosePort } from '../folder/ports.ts'
import { firstReady, partEvents } from '../part-events.ts'
import type { Observe, RabbitmqService } from '../service.ts'
import { rabbitmqAnswers } from './answers.ts'
import { configureNode } from './configuration.ts'
import { startEpmd } from './epmd.ts'
import type { RabbitmqServer } from './find-server.ts'

/** Runs a node of the installed RabbitMQ that shares nothing with others, with its data in the folder, and keeps it running. */
export const startNativeRabbitmq = async (options: {
  folder: DataFolder
  server: RabbitmqServer
  settings: Readonly<Record<string, number>>
  observe: Observe
  signal: AbortSignal
}): Promise<RabbitmqService> => {
  const { folder, server, settings, observe, signal } = options
  const ports = {
    rabbitmq: await choosePort(folder, 'rabbitmq', observe),
    management: await choosePort(folder, 'management', observe),
    distribution: await choosePort(folder, 'distribution', observe),
    epmd: await choosePort(folder, 'epmd', observe),
  }
  const address = `127.0.0.1:${ports.rabbitmq}`
  observe({ kind: 'service.starting', service: 'rabbitmq', source: 'native', address })
  const { password, nodeName, rabbitmqCreated } = folder.state()
  const home = join(folder.path, 'rabbitmq')
  if (!rabbitmqCreated) await rm(home, { recursive: true, force: true })
  await mkdir(home, { recursive: true })
  const env = await configureNode({ home, nodeName, user, password, ports, settings }, server.path)
  const url = `amqp://${user}:${password}@${address}`
  const managementUrl = `http://${user}:${password}@127.0.0.1:${ports.management}`

  const epmd = await startEpmd({ folder, server, env, port: ports.epmd, observe, signal })
  const node = keepRunning({
    name: 'rabbitmq',
    role: 'service',
    mark: nodeMark(folder),
    stopSignal: 'SIGTERM',
    graceMs,
    logFile: folder.logFile('rabbitmq'),
    spawn: (log) =>
      // The arguments are passed on to Erlang, which keeps those that it does not know: so the node can be told by them.
      spawn(server.script, ['-esteira', nodeMark(folder)], {
        cwd: home,
        env,
        detached: true,
        stdio: ['ignore', log, log],
      }),
    answers: (stillUp) => rabbitmqAnswers(managementUrl, ports.rabbitmq, stillUp),
    readyWithinMs: 120_000,
    restart: true,
    registry: folder.registry,
    observe: partEvents(observe, {
      service: 'rabbitmq',
      part: 'rabbitmq',
      ready: (ms) => observe({ kind: 'service.ready', service: 'rabbitmq', source: 'native', address, ms }),
    }),
  })
  const stop = async () => {
    await node.stop()
    await epmd.stop()
  }
  try {
    await firstReady(node, signal)
  } catch (error) {
    await stop()
    throw error
  }
  folder.remember({ rabbitmqCreated: true })
  return {
    name: 'rabbitmq',
    source: 'native',
    url,
    managementUrl,
    describe: `RabbitMQ, native, ${address} (management on 127.0.0.1:${ports.management})`,
    stop: async () => {
      await stop()
      observe({ kind: 'service.stopped', service: 'rabbitmq' })
    },
  }
}

const user = 'esteira'

/**
 * Connections are closed and messages are on disk a few milliseconds after SIGTERM. The management plugin then waits
 * 5 s in vain: it asks the application controller, which waits for the plugin. Ending the node before that costs nothing
 * that a start does not recover, as after any kill.
 */
const graceMs = 3_000

const nodeMark = (folder: DataFolder): string => `folder-${folder.hash}`
