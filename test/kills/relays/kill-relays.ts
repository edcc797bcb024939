import { setTimeout as pause } from 'node:timers/promises'
import { ensureDatabase, type Stack, startStack } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import { z } from 'zod'
import { openBroker } from '../../support/broker.ts'
import { runOn } from '../../support/run-on.ts'
import { waitFor } from '../../support/wait-for.ts'
import { randomFrom } from '../random.ts'
import { startIn } from '../start-in.ts'
import { type Blow, blowsIn, strike } from '../strike.ts'
import type { Trial, TrialOptions } from '../trial.ts'
import { compare, compareParked } from './compare.ts'
import { isOrdered, isRefused } from './keys.ts'
import { type Received, receivedIn } from './received.ts'

const queue = 'kills'
const relays = ['relay-a', 'relay-b']

/** A RabbitMQ 3.10 that is killed just after a queue was declared may not bring it up again, milliseconds. */
const settleMs = 3_000
/** What has not come in this time is lost, milliseconds. Two frozen relays and a fallen server are well within it. */
const patienceMs = 120_000

/** Ten refusals, as always, but within some four seconds and not as many minutes. */
const soonParked = { ESTEIRA_RELAY_RETRY_MS: '100', ESTEIRA_RELAY_RETRY_CAP_MS: '500' }

/**
 * Two relays, a writer and a collector on a Postgres and a RabbitMQ of their own, all real processes. One of them after
 * the other is killed or frozen, each once something new has come. Then the writer ends, and what was committed is
 * compared with what came, and with what was parked.
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
      const { figures, faults } = await untilAllCame(databaseUrl, received)
      const seconds = Math.round((performance.now() - begun) / 1_000)
      return { figures: { blows: options.blows, seconds, ...figures }, faults }
    } finally {
      // A server that is frozen could not be stopped.
      await Promise.allSettled(struck)
      await Promise.all([...programs.values()].map((program) => program.stop()))
    }
  } finally {
    await stack.stop()
  }
}

/** Everything may be killed; a relay or a server may also be frozen, a relay to wake when it owns its lanes no more. */
const blowsOn = (programs: readonly string[]): Blow[] => [
  ...[...programs, 'postgres', 'rabbitmq'].map((victim) => ({ victim, how: 'killed' }) as const),
  ...[...relays, 'postgres', 'rabbitmq'].map((victim) => ({ victim, how: 'frozen' }) as const),
]

/** Compares until nothing is missing any more, or what is missing has had its time. */
const untilAllCame = async (databaseUrl: string, received: Received): Promise<Trial> => {
  const deadline = performance.now() + patienceMs
  for (;;) {
    // The first time for what the writer committed with its last breath.
    await pause(1_000)
    const { written, parked, left } = await waitFor(() => ask(databaseUrl), { deadlineMs: patienceMs })
    const { lost, invented, overtaken, spoilt, ...counts } = compare(
      written.filter(({ key }) => !isRefused(key)),
      received.read(),
      isOrdered,
    )
    const { unparked, misparked, ...parkedCounts } = compareParked(
      written.filter(({ key }) => isRefused(key)),
      parked,
    )
    const missing = { lost, unparked, left }
    if (Object.values(missing).every((found) => found.length === 0) || performance.now() > deadline) {
      return { figures: { ...counts, ...parkedCounts }, faults: { ...missing, invented, overtaken, spoilt, misparked } }
    }
  }
}

const numbered = z.array(z.object({ key: z.string(), n: z.int() }))

const parkedSql = `
  select (content ->> 'key') as key, (content ->> 'n')::int as n
  from (select coalesce(payload, convert_from(bytes, 'UTF8')::json) as content from outbox_parked) as parked`

/** Rows that were confirmed are there until they are deleted. */
const leftSql = `
  select lane, id::text from outbox_message union all
  select lane, id::text from outbox_scheduled
  limit 100`

const ask = async (databaseUrl: string) => ({
  written: numbered.parse(await runOn(databaseUrl, 'select key, n from written')),
  parked: numbered.parse(await runOn(databaseUrl, parkedSql)),
  left: await runOn(databaseUrl, leftSql),
})

/** Makes the tables and the queue, and starts everyone. */
const startPrograms = async (stack: Stack, received: string) => {
  const { postgres, rabbitmq } = stack
  const databaseUrl = await ensureDatabase(postgres.url, 'kills')
  await migrate(databaseUrl)
  await runOn(databaseUrl, 'create table written (key text primary key, n int not null)')
  const broker = await openBroker(rabbitmq.url)
  await broker.declareQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await broker.close()
  const start = startIn(stack)
  const ofRelays = { DATABASE_URL: databaseUrl, RABBITMQ_URL: rabbitmq.url, ...soonParked }
  const programs = new Map([
    ...relays.map((name) => start(name, 'sidecar/src/main.ts', { ...ofRelays, ESTEIRA_LANE: name })),
    start('collector', 'test/kills/relays/collector/main.ts', {
      RABBITMQ_URL: rabbitmq.url,
      QUEUE: queue,
      RECEIVED: received,
    }),
    start('writer', 'test/kills/relays/writer/main.ts', { DATABASE_URL: databaseUrl, QUEUE: queue }),
  ])
  await Promise.all([...programs.values()].map((program) => program.ready))
  return { databaseUrl, programs }
}
