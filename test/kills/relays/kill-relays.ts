import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startProcess, type StartedProcess } from '@esteira/dev/processes'
import { ensureDatabase, type Stack, startStack } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import { z } from 'zod'
import { openBroker } from '../../support/broker.ts'
import { runOn } from '../../support/run-on.ts'
import { waitFor } from '../../support/wait-for.ts'
import { randomFrom } from '../random.ts'
import { type Blow, blowsIn, strike } from '../strike.ts'
import type { Trial, TrialOptions } from '../trial.ts'
import { compare } from './compare.ts'
import { isOrdered } from './keys.ts'
import { receivedIn } from './received.ts'

const queue = 'kills'
const relays = ['relay-a', 'relay-b']

/** A RabbitMQ 3.10 that is killed just after a queue was declared may not bring it up again, milliseconds. */
const settleMs = 3_000
/** What has not come in this time is lost, milliseconds. Two frozen relays and a fallen server are well within it. */
const patienceMs = 120_000

/**
 * Two relays, a writer and a collector on a Postgres and a RabbitMQ of their own, all real processes. One of them after
 * the other is killed or frozen, each once something new has come. Then the writer ends, and what was committed is
 * compared with what came.
 */
export const killRelays = async (options: TrialOptions): Promise<Trial> => {
  const begun = performance.now()
  const stack = await startStack({ dataDir: options.dataDir, env: process.env })
  try {
    const received = receivedIn(stack.logFile('received'))
    const { databaseUrl, programs } = await startPrograms(stack, received.path)
    const struck: Promise<void>[] = []
    try {
      await pause(settleMs)
      for (const [index, blow] of blowsIn(blowsOn([...programs.keys()]), randomFrom(options.seed))
        .take(options.blows)
        .toArray()
        .entries()) {
        const before = received.bytes()
        await waitFor(() => received.bytes() > before, { deadlineMs: patienceMs, describe: 'something new to come' })
        await pause(blow.afterMs)
        options.say(`${index + 1}: ${blow.victim} is ${blow.how}`)
        struck.push(strike(blow, programs, stack.dataDir))
      }
      await programs.get('writer')?.stop()
      await Promise.all(struck)
      const last = z
        .array(z.object({ key: z.string(), n: z.int() }))
        .parse(await waitFor(() => runOn(databaseUrl, 'select key, n from written'), { deadlineMs: patienceMs }))
      const look = () => compare(last, received.read(), isOrdered)
      const deadline = performance.now() + patienceMs
      while (look().lost.length > 0 && performance.now() < deadline) await pause(1_000)
      const { lost, invented, overtaken, ...counts } = look()
      const seconds = Math.round((performance.now() - begun) / 1_000)
      return { figures: { blows: options.blows, seconds, ...counts }, faults: { lost, invented, overtaken } }
    } finally {
      await Promise.all([...programs.values()].map((program) => program.stop()))
    }
  } finally {
    await stack.stop()
  }
}

/** Everything may be killed; a relay may also be frozen, to wake when it owns its lanes no more. */
const blowsOn = (programs: readonly string[]): Blow[] => [
  ...[...programs, 'postgres', 'rabbitmq'].map((victim) => ({ victim, how: 'killed' }) as const),
  ...relays.map((victim) => ({ victim, how: 'frozen' }) as const),
]

/** Makes the tables and the queue, and starts everyone. */
const startPrograms = async ({ postgres, rabbitmq, registry, logFile }: Stack, received: string) => {
  const databaseUrl = await ensureDatabase(postgres.url, 'kills')
  await migrate(databaseUrl)
  await runOn(databaseUrl, 'create table written (key text primary key, n int not null)')
  const broker = await openBroker(rabbitmq.url)
  await broker.declareQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await broker.close()
  const addresses = { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmq.url }
  const start = (name: string, script: string, env: Record<string, string>): [string, StartedProcess] => [
    name,
    startProcess({
      name,
      script: resolve(import.meta.dirname, script),
      env,
      inherit: process.env,
      logFile: logFile(name),
      registry,
      observe: () => undefined,
      restart: true,
    }),
  ]
  const programs = new Map([
    ...relays.map((name) => start(name, '../../../sidecar/src/main.ts', { ...addresses, ESTEIRA_LANE: name })),
    start('collector', 'collector/main.ts', { RABBITMQ_URL: rabbitmq.url, QUEUE: queue, RECEIVED: received }),
    start('writer', 'writer/main.ts', { DATABASE_URL: databaseUrl, QUEUE: queue }),
  ])
  await Promise.all([...programs.values()].map((program) => program.ready))
  return { databaseUrl, programs }
}
