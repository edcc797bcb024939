import { setTimeout as pause } from 'node:timers/promises'
import { enqueue, type OutboxMessage } from '@esteira/outbox'
import pg from 'pg'
import { z } from 'zod'
import type { Numbered } from '../compare.ts'
import { contentOf, payloadOf } from '../content.ts'
import { astray, isAstray, isOrdered, isRefused, keys, queueOf, refusedKeys } from '../keys.ts'

/**
 * Commits messages until it is killed. Each carries its key and its number among those of the key, and the table
 * `written` holds the last number of each key: what is committed is known from the database alone, also when the answer
 * to a commit was lost. Some messages are bytes, some are large, some for later, and some go where no queue is, not yet or
 * never, or to a full one.
 */
const { DATABASE_URL: databaseUrl } = z.object({ DATABASE_URL: z.string() }).parse(process.env)

const writers = 4
const mostKeysAtOnce = 40
/** So many messages of one key in a transaction, at most. */
const mostOfAKey = 3
/** Some transactions stay open for a while, milliseconds, so that others overtake them. */
const longestMs = 300
/** Some messages are for later, milliseconds. */
const longestDelayMs = 5_000
/** As much as a payload may be, less what is around it. */
const largeLength = 1_000_000

/** How many of a hundred there are of each, on the average. */
const isOneOf = (percent: number): boolean => Math.random() * 100 < percent

/** Locks the keys in one order for all writers, so that none waits for another in a ring. */
const countSql = `
  insert into written (key, n) select key, count from unnest($1::text[], $2::int[]) as chosen (key, count) order by key
  on conflict (key) do update set n = written.n + excluded.n
  returning key, n`

const numbered = z.array(z.object({ key: z.string(), n: z.int() }))

const commitOne = async (client: pg.Client): Promise<void> => {
  const chosen = new Map(
    Array.from({ length: wholeUpTo(mostKeysAtOnce) }, () => [randomOf(keys), wholeUpTo(mostOfAKey)]),
  )
  if (isOneOf(5)) chosen.set(randomOf(refusedKeys), 1)
  await client.query('begin')
  const last = numbered.parse((await client.query(countSql, [[...chosen.keys()], [...chosen.values()]])).rows)
  const messages = last.flatMap(({ key, n }) => {
    const count = chosen.get(key) ?? 0
    return Array.from({ length: count }, (_, index) => toMessage({ key, n: n - count + 1 + index }))
  })
  // By one call or by two.
  const first = isOneOf(20) ? wholeUpTo(messages.length) : messages.length
  await enqueue(client, messages.slice(0, first))
  await enqueue(client, messages.slice(first))
  if (isOneOf(2)) await pause(Math.random() * longestMs)
  await client.query(isOneOf(5) ? 'rollback' : 'commit')
}

const toMessage = (one: Numbered): OutboxMessage => {
  const as = isOneOf(10) ? 'application/octet-stream' : 'application/json'
  const payload = payloadOf(contentOf(one, as, isOneOf(0.05) ? largeLength : 0))
  // That exchange is there, and nothing is bound to it.
  if (isRefused(one.key)) return { exchange: 'amq.direct', routingKey: one.key, payload }
  const isAway = isAstray(one.key) && isOneOf(10)
  const message = { ...(isAway ? astray : { routingKey: queueOf(one.key) }), payload }
  if (isOrdered(one.key)) return { ...message, orderingKey: one.key }
  return isOneOf(10) ? { ...message, delayMs: Math.random() * longestDelayMs } : message
}

const wholeUpTo = (most: number): number => 1 + Math.floor(Math.random() * most)

const randomOf = (those: readonly string[]): string => those[Math.floor(Math.random() * those.length)] ?? ''

/** Writes on one session until it breaks. */
const writeOnSession = async (): Promise<void> => {
  const client = new pg.Client(databaseUrl)
  const broken = Promise.withResolvers<never>()
  client.on('error', broken.reject)
  const write = async () => {
    await client.connect()
    for (;;) await commitOne(client)
  }
  await Promise.race([write(), broken.promise])
}

const writeForEver = async (): Promise<never> => {
  for (;;) {
    await writeOnSession().catch((error: unknown) => say({ event: 'session.lost', reason: String(error) }))
    await pause(100)
  }
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

say({ event: 'ready' })
process.on('SIGTERM', () => process.exit(0))
await Promise.all(Array.from({ length: writers }, writeForEver))
