import { fileURLToPath } from 'node:url'
import { type Engine, expectConserved, openEngine, startWorkerProgram } from '@esteira/test/engine'
import { emptyDatabase, type Proxy, runOn, startProxy, type TestDatabase, waitFor } from '@esteira/test/support'
import { settleWaitingRuns } from '@esteira/workflow'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { beginCases, cases, casesSql, inTheEnd, lookAtCases } from '../test/cases.ts'
import { hold } from '../test/hold.ts'

const program = fileURLToPath(new URL('main.ts', import.meta.url))

let engine: Engine
let target: TestDatabase
let brokerLink: Proxy

beforeAll(async () => {
  ;[engine, target] = await Promise.all([openEngine(), emptyDatabase()])
  brokerLink = await startProxy(engine.rabbitmqUrl)
  await runOn(target.url, casesSql)
})
beforeEach(() => runOn(target.url, 'truncate lead, seen; drop table if exists esteira_applied'))
afterEach(() => expectConserved(engine))
afterAll(async () => {
  await engine.close()
  await Promise.all([brokerLink.stop(), target.drop()])
})

/** The worker, with so many sessions that no job waits for one. */
const startOn = (rabbitmqUrl: string) =>
  startWorkerProgram(engine, program, {
    RABBITMQ_URL: rabbitmqUrl,
    ESTEIRA_CONNECTION_CRM: `${target.url}?esteira_pool=30`,
  })

type Worker = Awaited<ReturnType<typeof startOn>>
type Runs = Awaited<ReturnType<typeof beginCases>>

/** Begins all cases, and has the statement of each wait in the server. */
const untilHeld = async () => {
  const letGo = await hold(target.url, 'lock table lead, customer in access exclusive mode')
  const runs = await beginCases(engine)
  const worker = await startOn(brokerLink.url)
  const waiting = `select from pg_stat_activity where datname = current_database()
    and application_name = 'database-query' and wait_event_type = 'Lock'`
  await until(worker, async () => (await runOn(target.url, waiting)).length === cases.size)
  return { runs, worker, letGo }
}

const until = (worker: Worker, condition: () => Promise<boolean>) =>
  waitFor(condition, { deadlineMs: 60_000, describe: worker.said })

/** Whether all that the cases write has been committed in the target. */
const isWritten = async (): Promise<boolean> => {
  const rows = [...cases.values()].reduce((sum, { rows: ofCase }) => sum + ofCase, 0)
  return (await runOn(target.url, 'select from lead')).length === rows
}

/** How many of the first jobs have succeeded. */
const succeeded = async (runs: Runs): Promise<number> => {
  const sql = `select from workflow_job where run_id = any($1) and parent_id is null and status = 'succeeded'`
  return (await engine.query(sql, [[...runs.values()]])).length
}

/** How many ends of jobs the worker has found held up. */
const heldUp = ({ said }: Worker): number =>
  [...said().matchAll(/"event":"commit.held-up","jobs":(\d+)/g)].reduce((sum, [, jobs]) => sum + Number(jobs), 0)

/** A worker that dies behind its commit leaves the end of a run to the sweep of the control plane. */
const areOver = async (runs: Runs): Promise<boolean> => {
  await settleWaitingRuns(engine.em(), 100)
  const sql = `select from workflow_run where id = any($1) and status = 'running'`
  return (await engine.query(sql, [[...runs.values()]])).length === 0
}

/** Where the worker is in each of the cases when it is killed. What is held then is let go when it is dead. */
const moments = {
  'at their statements': async () => {
    const held = await untilHeld()
    await until(held.worker, async () => (await succeeded(held.runs)) === 1)
    return held
  },
  'between the commits of their statements and of their jobs': async () => {
    const runs = await beginCases(engine)
    const ids = [...runs.values()].map((id) => `'${id}'`).join()
    const letGo = await hold(engine.databaseUrl, `select from workflow_job where run_id in (${ids}) for update`)
    const worker = await startOn(brokerLink.url)
    await until(worker, async () => heldUp(worker) >= cases.size && (await isWritten()))
    expect(await succeeded(runs)).toBe(0)
    return { runs, worker, letGo }
  },
  'behind the commit of their jobs, before RabbitMQ hears of it': async () => {
    const held = await untilHeld()
    brokerLink.silence()
    await held.letGo()
    await until(held.worker, async () => (await succeeded(held.runs)) === cases.size && (await isWritten()))
    return held
  },
}

test.each([
  // Its job is over by then, and nobody does that again.
  ['at their statements', 'all but what is not waited for', ['none']],
  ['between the commits of their statements and of their jobs', 'all', []],
  ['behind the commit of their jobs, before RabbitMQ hears of it', 'all', []],
] as const)(
  'of a worker that is killed in the middle of every case, %s, the next one has %s come about, once',
  async (moment, _, lost) => {
    const { runs, worker, letGo } = await moments[moment]()
    await worker.kill()
    brokerLink.cut()
    await letGo()
    brokerLink.resume()
    const heir = await startOn(engine.rabbitmqUrl)
    await until(heir, () => areOver(runs))
    expect(await heir.stop()).toBe(0)
    expect(await lookAtCases(engine, target.url, runs)).toEqual(inTheEnd(lost))
  },
  180_000,
)
