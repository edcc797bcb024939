import type { DataFolder } from '../folder/data-folder.ts'
import { choosePort } from '../folder/ports.ts'
import { postgresAnswers } from '../postgres/answers.ts'
import { rabbitmqAnswers } from '../rabbitmq/answers.ts'
import type { Observe, RabbitmqService, Service, ServiceName } from '../service.ts'
import { engineHost, keepContainer, removeLeftover } from './container.ts'

type Start = { folder: DataFolder; observe: Observe; signal: AbortSignal }

/** Runs Postgres in a container, its data in a volume named after the folder. */
export const startPostgresContainer = async (start: Start & { settings: readonly string[] }): Promise<Service> => {
  const { folder, observe, signal } = start
  await removeLeftover(folder, 'postgres', observe)
  const port = await choosePort(folder, 'postgres', observe)
  const { password } = folder.state()
  const address = `${await engineHost()}:${port}`
  const url = `postgres://postgres:${password}@${address}/postgres`
  observe({ kind: 'service.starting', service: 'postgres', source: 'docker', address })
  const { stop } = await keepContainer(
    folder,
    {
      service: 'postgres',
      image: 'postgres:18',
      env: { POSTGRES_PASSWORD: password },
      command: ['postgres', ...['max_connections=300', ...start.settings].flatMap((setting) => ['-c', setting])],
      dataPath: '/var/lib/postgresql',
      ports: [[5432, port]],
      answers: (stillUp) => postgresAnswers(url, stillUp),
      ready: (ms) => observe({ kind: 'service.ready', service: 'postgres', source: 'docker', address, ms }),
    },
    observe,
    signal,
  )
  return {
    name: 'postgres',
    source: 'docker',
    url,
    describe: `Postgres 18, in Docker, ${address}`,
    stop: stopped('postgres', stop, observe),
  }
}

/** Runs RabbitMQ in a container, its data in a volume named after the folder. */
export const startRabbitmqContainer = async (start: Start): Promise<RabbitmqService> => {
  const { folder, observe, signal } = start
  await removeLeftover(folder, 'rabbitmq', observe)
  const port = await choosePort(folder, 'rabbitmq', observe)
  const management = await choosePort(folder, 'management', observe)
  const { password } = folder.state()
  const host = await engineHost()
  const address = `${host}:${port}`
  const url = `amqp://esteira:${password}@${address}`
  const managementUrl = `http://esteira:${password}@${host}:${management}`
  observe({ kind: 'service.starting', service: 'rabbitmq', source: 'docker', address })
  const { stop } = await keepContainer(
    folder,
    {
      service: 'rabbitmq',
      image: 'rabbitmq:4-management',
      env: { RABBITMQ_DEFAULT_USER: 'esteira', RABBITMQ_DEFAULT_PASS: password },
      // The node is named after it, and the data belongs to the node's name.
      hostname: 'esteira',
      dataPath: '/var/lib/rabbitmq',
      ports: [
        [5672, port],
        [15672, management],
      ],
      answers: (stillUp) => rabbitmqAnswers(managementUrl, 5672, stillUp),
      ready: (ms) => observe({ kind: 'service.ready', service: 'rabbitmq', source: 'docker', address, ms }),
    },
    observe,
    signal,
  )
  return {
    name: 'rabbitmq',
    source: 'docker',
    url,
    managementUrl,
    describe: `RabbitMQ 4, in Docker, ${address} (management on ${host}:${management})`,
    stop: stopped('rabbitmq', stop, observe),
  }
}

const stopped = (service: ServiceName, stop: () => Promise<void>, observe: Observe) => async () => {
  await stop()
  observe({ kind: 'service.stopped', service })
}
