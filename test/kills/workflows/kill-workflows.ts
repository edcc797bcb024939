import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { type Stack, startStack } from '@esteira/dev/stack'
import { z } from 'zod'
import { findStuck } from '../../../lib/workflow/test/stuck.ts'
import { openBroker } from '../../support/broker.ts'
import { runOn } from '../../support/run-on.ts'
import { waitFor } from '../../support/wait-for.ts'
import { randomFrom } from '../random.ts'
import { type Blow, blowsIn, strike } from '../strike.ts'
import type { Trial, TrialOptions } from '../trial.ts'
import { type Begun, beginRuns } from './clients.ts'
import { itemsWorkflow, pagesWorkflow } from './documents.ts'
import { watchExits } from './exits.ts'
import { lanes, relayOf, startPrograms } from './programs.ts'

/** A RabbitMQ 3.10 that is killed just after a queue was declared may not bring it up again, milliseconds. */
const settleMs = 3_000
/** What has not moved in this time never will, milliseconds. Frozen workers and fallen servers are well within it. */
const patienceMs = 180_000

/** So many jobs are done between a blow and the next, so that those who fell are at work again in most cases. */
const jobsBetween = 100

const queues = ['Kills.pages', 'Kills.items', 'Kills.save', 'Database.query']

/**
 * Two workers, the control plane and their relays on a Postgres and a RabbitMQ of their own, all real processes, and
 * clients that begin runs. One process after the other is killed, asked to end or frozen, each once others have gone
 * on with the work. Another one asks all along what must hold at every moment. Then each run has to end, with each of its
 * items once in each target, and nothing may be left anywhere.
 */
export const killWorkflows = async ({ dataDir, blows, seed, say, signal }: TrialOptions): Promise<Trial> => {
  const begunMs = performance.now()
  const stack = await startStack({ dataDir, env: process.env })
  try {
    const exits = watchExits()
    const looks = stack.logFile('looks')
    const programs = await startPrograms(stack, { looks, observe: exits.observe })
    const ending = new AbortController()
    const struck: Promise<void>[] = []
    try {
      const clients = await startClients(programs.api, ending.signal)
      await pause(settleMs)
      for (const [index, blow] of blowsIn(everyBlow(), randomFrom(seed)).take(blows).toArray().entries()) {
        const before = await workDone(programs.databaseUrl)
        await waitFor(async () => (await workDone(programs.databaseUrl)) >= before + jobsBetween, {
          deadlineMs: patienceMs,
          describe: 'jobs to be done',
        })
        await pause(blow.afterMs, undefined, { signal })
        say(`${index + 1}: ${blow.victim} is ${blow.how}`)
        exits.blow(blow)
        struck.push(strike(blow, programs.struck, stack.dataDir))
      }
      ending.abort()
      const begun = (await Promise.all(clients)).flat()
      await Promise.all(struck)
      const left = await untilNothingIsLeft(programs.databaseUrl, stack, signal)
      await programs.stop()
      const seen = looksIn(looks)
      const figures = {
        blows,
        seconds: Math.round((performance.now() - begunMs) / 1_000),
        runs: begun.length,
        items: begun.reduce((sum, { items }) => sum + items, 0),
        looks: seen.length,
        endedInOrder: exits.asked(),
      }
      const faults = {
        open: begun.filter(({ status }) => status !== 'succeeded'),
        applied: await miscounted(programs.crmUrl, 'applied', begun),
        saved: await miscounted(
          programs.databaseUrl,
          'saved',
          begun.filter(({ key }) => key.startsWith('pages')),
        ),
        untrue: seen.flat(),
        left,
        exits: exits.faults,
      }
      return { figures, faults }
    } finally {
      ending.abort()
      await programs.stop()
    }
  } finally {
    await stack.stop()
  }
}

/** Everything may be killed or asked to end; a worker or relay may also be frozen, to wake when it holds nothing more. */
const everyBlow = (): Blow[] => {
  const relays = lanes.map(relayOf)
  const all = [...lanes, ...relays, 'postgres', 'rabbitmq']
  return [
    ...all.map((victim) => ({ victim, how: 'killed' }) as const),
    ...all.map((victim) => ({ victim, how: 'stopped' }) as const),
    ...['worker-a', 'worker-b', ...relays].map((victim) => ({ victim, how: 'frozen' }) as const),
  ]
}

const startClients = async (api: Awaited<ReturnType<typeof startPrograms>>['api'], signal: AbortSignal) => {
  const [pages, items] = await Promise.all([api.createWorkflow(pagesWorkflow), api.createWorkflow(itemsWorkflow)])
  const clients = [
    { workflow: pages, name: 'pages of a', items: 250 },
    { workflow: pages, name: 'pages of b', items: 250 },
    { workflow: items, name: 'items', items: 2_500 },
  ]
  return clients.map((client) => beginRuns(api, client, { patienceMs, signal }))
}

const counted = z.tuple([z.object({ count: z.coerce.number() })])

/** How many jobs have ended. While Postgres is down it is waited for. */
const workDone = async (databaseUrl: string): Promise<number> => {
  const look = async () => {
    await pause(100)
    return counted.parse(
      await runOn(
        databaseUrl,
        'select coalesce(sum(succeeded + failed + cancelled), 0) as count from workflow_run_step',
      ),
    )
  }
  const [{ count }] = await waitFor(look, { deadlineMs: patienceMs, describe: 'Postgres' })
  return count
}

/** Waits until no message is anywhere and nothing is stuck; gives what is left all the same. */
const untilNothingIsLeft = async (
  databaseUrl: string,
  { rabbitmq }: Stack,
  signal?: AbortSignal,
): Promise<unknown[]> => {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const left = await leftIn(databaseUrl, rabbitmq.url).catch((error: unknown) => [String(error)])
    if (left.length === 0 || performance.now() > deadline) return left
    await pause(1_000, undefined, { signal })
  }
}

const messagesSql = `
  select payload from outbox_message union all
  select payload from outbox_scheduled union all
  select payload from outbox_parked`

const leftIn = async (databaseUrl: string, rabbitmqUrl: string): Promise<unknown[]> => {
  const broker = await openBroker(rabbitmqUrl)
  try {
    const inQueues = await Promise.all(queues.map(async (queue) => ({ queue, messages: await broker.count(queue) })))
    return [
      ...inQueues.filter(({ messages }) => messages > 0),
      ...(await runOn(databaseUrl, messagesSql)),
      ...(await findStuck((text, values = []) => runOn(databaseUrl, { text, values }), broker)),
    ]
  } finally {
    await broker.close()
  }
}

const writtenRows = z.array(z.object({ run: z.string(), n: z.int(), times: z.coerce.number() }))

/** The items of runs that are not in a table once each, and what is there of no run. */
const miscounted = async (url: string, table: 'applied' | 'saved', runs: readonly Begun[]): Promise<string[]> => {
  const rows = writtenRows.parse(await runOn(url, `select run, n, count(*) as times from ${table} group by run, n`))
  const times = new Map(rows.map((row) => [`${row.run}: ${row.n}`, row.times]))
  const faults = runs.flatMap(({ key, items }) =>
    Array.from({ length: items }, (_, n) => `${key}: ${n}`).flatMap((name) => {
      const found = times.get(name) ?? 0
      times.delete(name)
      return found === 1 ? [] : [`${name} is there ${found} times`]
    }),
  )
  return [...faults, ...[...times.keys()].map((name) => `${name} was never given`)]
}

/** What each look saw; the last line may be cut off. */
const looksIn = (file: string): unknown[][] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((text) => z.array(z.unknown()).parse(JSON.parse(text)))
    : []
