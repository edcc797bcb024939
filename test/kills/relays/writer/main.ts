import { setTimeout as pause } from 'node:timers/promises'
import { enqueue } from '@esteira/outbox'
import pg from 'pg'
import { z } from 'zod'
import type { Numbered } from '../compare.ts'
import { isOrdered, keys } from '../keys.ts'

/**
 * Commits messages until it is killed. Each carries its key and its number among those of the key, and the table
 * `written` holds the last number of each key: what is committed is known from the database alone, also when the answer
 * to a commit was lost.
 */
const { DATABASE_URL: databaseUrl, QUEUE: queue } = z
  .object({ DATABASE_URL: z.string(), QUEUE: z.string() })
  .parse(process.env)

const writers = 4
const mostKeysAtOnce = 40
/** Some transactions stay open for a while, milliseconds, so that others overtake them. */
const longestMs = 300

/** Locks the keys in one order for all writers, so that none waits for another in a ring. */
const countSql = `
  insert into written (key, n) select key, 1 from unnest($1::text[]) as key order by key
  on conflict (key) do update set n = written.n + 1
  returning key, n`

const numbered = z.array(z.object({ key: z.string(), n: z.int() }))

const commitOne = async (client: pg.Client): Promise<void> => {
  const chosen = new Set(Array.from({ length: 1 + Math.floor(Math.random() * mostKeysAtOnce) }, randomKey))
  await client.query('begin')
  const messages = numbered.parse((await client.query(countSql, [[...chosen]])).rows)
  await enqueue(client, messages.map(toMessage))
  if (Math.random() < 0.02) await pause(Math.random() * longestMs)
  await client.query(Math.random() < 0.05 ? 'rollback' : 'commit')
}

const toMessage = (payload: Numbered) => {
  const message = { routingKey: queue, payload }
  return isOrdered(payload.key) ? { ...message, orderingKey: payload.key } : message
}

const randomKey = (): string => keys[Math.floor(Math.random() * keys.length)] ?? ''

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
