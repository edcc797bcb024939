import { startOwnRabbitmq, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, openEngine } from '../../test/engine.ts'
import { expectConserved } from '../../test/expect-conserved.ts'
import { beginJobs } from '../../test/begin-jobs.ts'
import { defineFunction } from '../index.ts'

let broker: Awaited<ReturnType<typeof startOwnRabbitmq>>
let engine: Engine

beforeAll(async () => {
  broker = await startOwnRabbitmq()
  engine = await openEngine(broker)
}, 120_000)
afterAll(() => engine.close())

/** A node that starts beside others takes its time. */
const deadlineMs = 120_000

/** Functions that hear of nothing and end when their gate opens, with how often each job was begun. */
const openDeaf = () => {
  const gates = new Map<unknown, PromiseWithResolvers<void>>()
  const gateOf = (payload: unknown) => {
    const gate = gates.get(payload) ?? Promise.withResolvers<void>()
    gates.set(payload, gate)
    return gate
  }
  const calls = new Map<unknown, number>()
  const begun = (payload: unknown): Promise<void> => {
    calls.set(payload, (calls.get(payload) ?? 0) + 1)
    return gateOf(payload).promise
  }
  return {
    functions: [
      functionOf('long', async ({ payload }) => {
        await begun(payload)
        return `done ${String(payload)}`
      }),
      defineFunction({
        name: 'long.own',
        config: z.looseObject({}),
        unit: 'own',
        run: async ({ em, payload }) => {
          await em.execute('insert into effect values (?)', [String(payload)])
          await begun(payload)
        },
      }),
    ],
    callsOf: (payloads: readonly unknown[]) => payloads.map((payload) => calls.get(payload) ?? 0),
    end: (payloads: readonly unknown[]) => payloads.forEach((payload) => gateOf(payload).resolve()),
  }
}

const names = (what: string, count: number) => Array.from({ length: count }, (_, index) => `${what} ${index}`)

/** How many of a run's jobs behind its tick have ended. */
const endedOf = async (run: string): Promise<number> =>
  (await engine.jobs(run)).filter(({ step, status }) => step === 1 && status === 'succeeded').length

test(
  'what is at work while RabbitMQ restarts goes on, and each job ends once, whenever it ends',
  async () => {
    await engine.query('create table effect (payload text)')
    const [early, late, own] = [names('early', 10), names('late', 10), names('own', 5)]
    const { functions, callsOf, end } = openDeaf()
    const worker = await engine.startWorker(functions)
    const run = await beginJobs(engine, 'long', [...early, ...late])
    const ownRun = await beginJobs(engine, 'long.own', own)
    const all = [...early, ...late, ...own]
    await waitFor(() => callsOf(all).every((calls) => calls === 1), { deadlineMs })

    await broker.stop()
    await waitFor(() => worker.saw('belt.lost').length > 0, { deadlineMs })
    end([...early, ...own])
    // They end although nobody can be told of it yet.
    await waitFor(async () => (await endedOf(run)) === early.length && (await endedOf(ownRun)) === own.length, {
      deadlineMs,
    })
    // What begins meanwhile waits in the outbox.
    const meanwhile = await beginJobs(engine, 'long', ['meanwhile'])
    end(['meanwhile'])

    await broker.start()
    await waitFor(() => worker.saw('belt.back').length > 0, { deadlineMs })
    await waitFor(() => callsOf(late).every((calls) => calls > 1), { deadlineMs, describe: () => worker.events })
    end(late)
    for (const id of [run, ownRun, meanwhile]) {
      await waitFor(async () => (await engine.statusOf(id)) === 'succeeded', { deadlineMs })
    }
    expect(callsOf([...early, ...own, 'meanwhile'])).toEqual([...early, ...own, 'meanwhile'].map(() => 1))
    const outputs = (await engine.jobs(run)).filter(({ step }) => step === 1).map(({ output }) => output)
    expect(outputs).toEqual([...early, ...late].map((payload) => `done ${payload}`))
    expect(await engine.query('select payload from effect order by payload')).toEqual(
      own.map((payload) => ({ payload })),
    )
    await waitFor(async () => (await engine.outboxRows()) === 0, { deadlineMs })
    await expectConserved(engine)
  },
  3 * deadlineMs,
)
