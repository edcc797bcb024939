import { fileURLToPath } from 'node:url'
import { startRdStation } from '@esteira/dev/rd-station'
import { type Engine, functionOf, startWorkerProgram, useEngine } from '@esteira/test/engine'
import { startProxy, waitFor } from '@esteira/test/support'
import { settleWaitingRuns } from '@esteira/workflow'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'

const program = fileURLToPath(new URL('main.ts', import.meta.url))

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** The last page of the API is not full. One of the worker's, which is a commit, has 16 of them. */
const leads = 5_010
const pageSize = 125
const contactsPath = '/platform/segmentations/1/contacts'

/** What there is of a run's leads. */
const leadsOf = async (run: string) =>
  leadRows.parse(
    await engine.query(
      `select count(*)::int as jobs, count(distinct payload ->> 'uuid')::int as different
       from workflow_job where run_id = $1 and parent_id is not null`,
      [run],
    ),
  )[0]

const leadRows = z.tuple([z.object({ jobs: z.int(), different: z.int() })])

/** A page behind the first commit. */
const heldPage = 21

/** A run whose worker has the first pages committed, and has asked for one that it does not get until the link resumes. */
const begin = async () => {
  const rdStation = await startRdStation({ leads, rateLimitPerMinute: null })
  const link = await startProxy(rdStation.url)
  onTestFinished(async () => {
    await link.stop()
    await rdStation.stop()
  })
  const { clientId, clientSecret, refreshToken } = rdStation.credentials
  const start = () =>
    startWorkerProgram(engine, program, {
      RDSTATION_RATE_LIMIT: '0',
      RDSTATION_BASE_URL: link.url,
      RDSTATION_CLIENT_ID: clientId,
      RDSTATION_CLIENT_SECRET: clientSecret,
      RDSTATION_REFRESH_TOKEN: refreshToken,
    })
  link.pauseBehind(`page=${heldPage}&`)
  const worker = await start()
  const config = { segmentationId: 1, pageSize }
  const workflow = await engine.saveWorkflow(
    { functionName: 'RdStation.getLeads', outputType: 'multiple', config },
    { functionName: 'Take', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  const answered = (path: string) => rdStation.control.state().requests[path]?.['200'] ?? 0
  const until = (condition: () => boolean | Promise<boolean>) =>
    waitFor(condition, { deadlineMs: 60_000, describe: worker.said })
  await until(async () => answered(contactsPath) === heldPage && (await leadsOf(run)).jobs > 0)
  return { rdStation, link, start, worker, run, answered, until }
}

/** What the worker has open in the database of the jobs. */
const sessionsSql = `select from pg_stat_activity
  where datname = current_database() and application_name like 'rd-station-get-leads%'`

type Begun = Awaited<ReturnType<typeof begin>>

/** Where the worker is brought to be killed; each gives what is let go then. */
const moments = {
  'between two pages': async () => async () => undefined,
  'in the commit of a page': async ({ link, until }: Begun) => {
    const holder = new Client(engine.databaseUrl)
    await holder.connect()
    const letGo = () => holder.end()
    onTestFinished(letGo)
    await holder.query('begin; lock table workflow_item_key in access exclusive mode')
    link.resume()
    const waiting = `select from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock' and query like '%workflow_item_key%'`
    await until(async () => (await engine.query(waiting)).length > 0)
    return letGo
  },
  'while its token is renewed': async ({ rdStation, link, answered, until }: Begun) => {
    rdStation.control.expireTokens()
    link.resume()
    link.pauseBehind('POST /auth/token')
    await until(() => answered('/auth/token') === 2)
    return async () => undefined
  },
}

test.each([['between two pages'], ['in the commit of a page'], ['while its token is renewed']] as const)(
  'a read whose worker is killed %s goes on behind its last page, and gives each lead once',
  async (moment) => {
    const begun = await begin()
    const { run, worker, link, start, answered } = begun
    const letGo = await moments[moment](begun)
    await worker.kill()
    link.cut()
    await letGo()
    link.resume()
    await waitFor(async () => (await engine.query(sessionsSql)).length === 0)
    const { jobs: before } = await leadsOf(run)
    expect(before, 'it is in the middle').toBeLessThan(leads)
    const calls = answered(contactsPath)

    await engine.startWorker([functionOf('Take', () => undefined)])
    const heir = await start()
    const isOver = async () => {
      // A worker that dies behind its commit leaves the end of a run to the sweep of the control plane.
      await settleWaitingRuns(engine.em(), 100)
      return (await engine.statusOf(run)) === 'succeeded'
    }
    await waitFor(isOver, { deadlineMs: 60_000, describe: heir.said })
    expect(await heir.stop()).toBe(0)
    expect(await leadsOf(run)).toEqual({ jobs: leads, different: leads })
    expect(answered(contactsPath) - calls, 'no page is read again that was committed').toBe(
      Math.ceil((leads - before) / pageSize),
    )
  },
  180_000,
)
