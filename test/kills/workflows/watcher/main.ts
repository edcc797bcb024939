import { appendFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { defaultWindow } from '@esteira/workflow'
import pg from 'pg'
import { z } from 'zod'
import { openConservation } from '../../../../lib/workflow/test/conservation.ts'

/** Asks what must hold at every moment, in a snapshot each time, and notes each look in a file, a line each. */
const { DATABASE_URL: databaseUrl, LOOKS: file } = z
  .object({ DATABASE_URL: z.string(), LOOKS: z.string() })
  .parse(process.env)

/** Between two looks, milliseconds. Each reads all jobs, and the others need the machine as well. */
const pauseMs = 250

const exceededSql = 'select run_id, step_id, belt as "beyondTheWindow" from workflow_run_step where belt > $1'

/** Looks on one session until it breaks. */
const watch = async (): Promise<never> => {
  const client = new pg.Client(databaseUrl)
  const broken = Promise.withResolvers<never>()
  client.on('error', broken.reject)
  const query = async (text: string, values: unknown[] = []): Promise<unknown[]> =>
    (await client.query(text, values)).rows
  const { untrueCounters, unconserved } = openConservation(query)
  const look = async (): Promise<unknown[]> => {
    await query('begin isolation level repeatable read, read only')
    const seen = [...(await untrueCounters()), ...(await unconserved()), ...(await query(exceededSql, [defaultWindow]))]
    await query('commit')
    return seen
  }
  const lookOn = async (): Promise<never> => {
    await client.connect()
    for (;;) {
      appendFileSync(file, `${JSON.stringify(await look())}\n`)
      await pause(pauseMs)
    }
  }
  return Promise.race([lookOn(), broken.promise])
}

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

say({ event: 'ready' })
process.on('SIGTERM', () => process.exit(0))
for (;;) {
  await watch().catch((error: unknown) => say({ event: 'session.lost', reason: String(error) }))
  await pause(100)
}
