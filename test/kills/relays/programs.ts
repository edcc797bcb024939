import type { StartedProcess } from '@esteira/dev/processes'
import { ensureDatabase, type Stack } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import { openBroker } from '../../support/broker.ts'
import { runOn } from '../../support/run-on.ts'
import { startIn } from '../start-in.ts'
import { queues } from './keys.ts'
import { type Received, receivedIn } from './received.ts'

export const relays = ['relay-a', 'relay-b']

export const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum' } }

/** Many more are written than it holds, and it takes them soon enough when somebody takes out what is in it. */
const full = { durable: true, arguments: { ...quorum.arguments, 'x-max-length': 100, 'x-overflow': 'reject-publish' } }

/** Ten refusals, as always, but within some four seconds and not as many minutes. */
const soonParked = { ESTEIRA_RELAY_RETRY_MS: '100', ESTEIRA_RELAY_RETRY_CAP_MS: '500' }

/** Everyone at work, by their names those that may be struck, and what all collectors have received. */
export type Programs = {
  databaseUrl: string
  programs: ReadonlyMap<string, StartedProcess>
  received: Pick<Received, 'bytes' | 'read'>
  /** Takes what is in a further queue from now on. */
  collect: (queue: string) => Promise<void>
  stop: () => Promise<void>
}

/** Makes the tables and the queues, and starts everyone. */
export const startPrograms = async (stack: Stack): Promise<Programs> => {
  const { postgres, rabbitmq } = stack
  const databaseUrl = await ensureDatabase(postgres.url, 'kills')
  await migrate(databaseUrl)
  await runOn(databaseUrl, 'create table written (key text primary key, n int not null)')
  const broker = await openBroker(rabbitmq.url)
  await broker.declareQueue(queues.here, quorum)
  await broker.declareQueue(queues.full, full)
  await broker.close()
  const start = startIn(stack)
  const ofRelays = { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmq.url, ...soonParked }
  const received: Received[] = []
  const startCollector = (name: string, queue: string) => {
    const file = receivedIn(stack.logFile(`received-${queue}`))
    received.push(file)
    return start(name, 'test/kills/relays/collector/main.ts', {
      RABBITMQ_URL: rabbitmq.url,
      QUEUE: queue,
      RECEIVED: file.path,
    })
  }
  const programs = new Map([
    ...relays.map((name) => start(name, 'sidecar/src/main.ts', { ...ofRelays, ESTEIRA_LANE: name })),
    startCollector('collector', queues.here),
    start('writer', 'test/kills/relays/writer/main.ts', { DATABASE_URL: databaseUrl }),
  ])
  const further: StartedProcess[] = []
  await Promise.all([...programs.values()].map((program) => program.ready))
  return {
    databaseUrl,
    programs,
    received: {
      bytes: () => received.reduce((sum, file) => sum + file.bytes(), 0),
      read: () => received.flatMap((file) => file.read()),
    },
    collect: async (queue) => {
      const [, collector] = startCollector(`collector-${queue}`, queue)
      further.push(collector)
      await collector.ready
    },
    stop: async () => {
      await Promise.all([...programs.values(), ...further].map((program) => program.stop()))
    },
  }
}
