import { setTimeout as pause } from 'node:timers/promises'
import { startStack } from '@esteira/dev/stack'
import { z } from 'zod'
import { runOn } from '../../support/run-on.ts'
import { waitFor } from '../../support/wait-for.ts'
import { randomFrom } from '../random.ts'
import { type Blow, blowsIn, strike } from '../strike.ts'
import type { Trial, TrialOptions } from '../trial.ts'
import { compare, compareParked } from './compare.ts'
import { isOrdered, isRefused, queues } from './keys.ts'
import { type Programs, relays, startPrograms } from './programs.ts'
import { createTroubles, type Troubles } from './troubles.ts'

/** A RabbitMQ 3.10 that is killed just after a queue was declared may not bring it up again, milliseconds. */
const settleMs = 3_000
/** When nothing more comes for this time the rest is lost, milliseconds. Whatever is frozen or fell is back before. */
const patienceMs = 120_000

/**
 * Two relays, a writer and a collector on a Postgres and a RabbitMQ of their own, all real processes. One of them
 * after the other is killed, stopped or frozen, each once something new has come. Then the writer ends, and what was
 * committed is compared with what came, and with what was parked.
 *
 * Some messages are kept from their queues: until half of the blows were struck one queue is not there, and until all were
 * another one is full, and some keyed messages go nowhere, so that both are parked and hold back their keys. Then they are
 * put back, and whatever waited for them has to come after them.
 */
export const killRelays = async (options: TrialOptions): Promise<Trial> => {
  const begun = performance.now()
  const stack = await startStack({ dataDir: options.dataDir, env: process.env })
  try {
    const started = await startPrograms(stack)
    const { databaseUrl, programs, received, collect, stop } = started
    const troubles = createTroubles(databaseUrl, stack.rabbitmq.url)
    const struck: Promise<void>[] = []
    try {
      await pause(settleMs)
      for (const [index, blow] of blowsIn(blowsOn([...programs.keys()]), randomFrom(options.seed))
        .take(options.blows)
        .toArray()
        .entries()) {
        if (index === Math.floor(options.blows / 2)) {
          await troubles.comeLate()
          await collect(queues.late)
          await pause(settleMs)
        }
        const before = received.bytes()
        await waitFor(() => received.bytes() > before, { deadlineMs: patienceMs, describe: 'something new to come' })
        await pause(blow.afterMs, undefined, options)
        options.say(`${index + 1}: ${blow.victim} is ${blow.how}`)
        struck.push(strike(blow, programs, stack.dataDir))
      }
      await programs.get('writer')?.stop()
      await Promise.all(struck)
      await troubles.heldKey()
      await troubles.mend()
      await collect(queues.full)
      const { figures, faults } = await untilAllCame(started, troubles, options)
      const seconds = Math.round((performance.now() - begun) / 1_000)
      return { figures: { blows: options.blows, seconds, ...figures }, faults }
    } finally {
      // A server that is frozen could not be stopped.
      await Promise.allSettled(struck)
      await stop()
    }
  } finally {
    await stack.stop()
  }
}

/**
 * Everything may be killed; a relay or a server may also be frozen, a relay to wake when it owns its lanes no more, or a
 * relay stopped, which leaves its lanes to the other one.
 */
const blowsOn = (programs: readonly string[]): Blow[] => [
  ...[...programs, 'postgres', 'rabbitmq'].map((victim) => ({ victim, how: 'killed' }) as const),
  ...[...relays, 'postgres', 'rabbitmq'].map((victim) => ({ victim, how: 'frozen' }) as const),
  ...relays.map((victim) => ({ victim, how: 'stopped' }) as const),
]

/** Puts back what was parked and would be taken now, and compares until nothing is missing, or no more of it comes. */
const untilAllCame = async (
  { databaseUrl, received }: Programs,
  troubles: Troubles,
  { signal }: Pick<TrialOptions, 'signal'>,
): Promise<Trial> => {
  let deadline = performance.now() + patienceMs
  let fewest = Infinity
  let keysSetFree = 0
  for (;;) {
    // The first time for what the writer committed with its last breath.
    await pause(1_000, undefined, { signal })
    keysSetFree += await troubles.retry()
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
    if (lost.length < fewest) deadline = performance.now() + patienceMs
    fewest = Math.min(fewest, lost.length)
    if (Object.values(missing).every((found) => found.length === 0) || performance.now() > deadline) {
      const figures = { ...counts, ...parkedCounts, keysSetFree }
      return { figures, faults: { ...missing, invented, overtaken, spoilt, misparked } }
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
