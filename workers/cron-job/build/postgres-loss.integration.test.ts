import { migrate } from '@esteira/migrations/migrate'
import { bundleAlone, type OwnPostgres, runOn, startOwnPostgres, startProxy, waitFor } from '@esteira/test/support'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { startTick, tick } from '../test/start-tick.ts'
import { jobsOf, manyItems, saveManyItems, saveWorkflow, useWorkflows } from '../test/use-workflows.ts'
import { bundleTick } from './bundle.ts'

let postgres: OwnPostgres

useWorkflows(async () => {
  postgres = await startOwnPostgres()
  await migrate(postgres.url)
  // What is put off to the commit of a run waits there for whoever holds the lock.
  await runOn(
    postgres.url,
    `create function hold_commit() returns trigger language plpgsql as $$
     begin perform pg_advisory_xact_lock_shared(17); return null; end $$`,
    `create constraint trigger hold_commit after insert on workflow_run deferrable initially deferred
     for each row execute function hold_commit()`,
  )
  return postgres
})

/** Where a program is stopped: what keeps it there in the server, or behind it, at an answer that does not come. */
type Place = { hold: string; isBehindCommit?: boolean }

const places = {
  'at its step, before its transaction': { hold: 'lock table workflow in access exclusive mode' },
  'in its transaction': { hold: 'lock table workflow_job in access exclusive mode' },
  'in its commit': { hold: 'select pg_advisory_xact_lock(17)' },
  'behind its commit, which is not answered': {
    hold: 'lock table workflow_job in access exclusive mode',
    isBehindCommit: true,
  },
} as const satisfies Record<string, Place>

const bundled = bundleAlone(bundleTick)

const runsOf = (workflowId: string) =>
  runOn(postgres.url, `select status from workflow_run where workflow_id = '${workflowId}'`)

/** Sessions of programs, or those of them that wait for a lock. */
const sessions = (waiting = false) =>
  runOn(
    postgres.url,
    `select pid from pg_stat_activity where application_name = 'cron-job'
     ${waiting ? `and wait_event_type = 'Lock'` : ''}`,
  )

/** Has the bundled program reach a place, and stay there until it is let go, or whatever it waits for falls. */
const reach = async (name: keyof typeof places, save: () => ReturnType<typeof saveWorkflow> = saveWorkflow) => {
  const { hold, isBehindCommit = false }: Place = places[name]
  const command = [bundled()]
  const { workflowId, stepId } = await save()
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', DATABASE_URL: postgres.url }
  const [link, holder] = [await startProxy(postgres.url), new Client(postgres.url)]
  holder.on('error', () => undefined)
  await holder.connect()
  const letGo = () => holder.end().catch(() => undefined)
  onTestFinished(async () => {
    await letGo()
    await link.stop()
  })
  await holder.query(`begin; ${hold}`)
  const { program, ended } = startTick({ ...env, DATABASE_URL: link.url }, command)
  await waitFor(async () => (await sessions(true)).length > 0, { deadlineMs: 60_000, describe: `the program ${name}` })
  if (isBehindCommit) {
    link.pauseBehind('commit\0')
    await letGo()
    await waitFor(async () => (await runsOf(workflowId)).length > 0)
  }
  return { workflowId, program, ended, link, letGo, again: () => tick(env, command) }
}

/** What comes of it: the same key begins the run unless it is there, and then never another one. */
const expectOneRun = async ({ workflowId, again }: Awaited<ReturnType<typeof reach>>, runsBefore: 0 | 1) => {
  expect(await runsOf(workflowId)).toHaveLength(runsBefore)
  for (const event of [runsBefore === 0 ? 'tick.fired' : 'tick.seen', 'tick.seen']) {
    expect(await again()).toMatchObject({ code: 0, said: expect.stringContaining(`"event":"${event}"`) })
  }
  expect(await runsOf(workflowId)).toEqual([{ status: 'running' }])
  expect(await jobsOf(workflowId)).toMatchObject([{ status: 'succeeded' }, { status: 'queued' }])
}

test.each([
  ['at its step, before its transaction', 0],
  ['in its transaction', 0],
  ['in its commit', 0],
  ['behind its commit, which is not answered', 1],
] as const)(
  'a tick under which Postgres falls, %s, ends with code 1, and its next try leaves one run',
  async (place, runs) => {
    const reached = await reach(place)
    await postgres.crash()
    // An answer that was held back on its way does not come any more.
    reached.link.cut()
    expect(await reached.ended).toMatchObject({ code: 1, said: expect.stringContaining('"event":"failed"') })
    await expectOneRun(reached, runs)
  },
  120_000,
)

/** Kills the program where it is, and resolves when the server is through with what that had sent. */
const kill = async ({ program, ended, link, letGo }: Awaited<ReturnType<typeof reach>>): Promise<void> => {
  program.kill('SIGKILL')
  await ended
  link.cut()
  await letGo()
  await waitFor(async () => (await sessions()).length === 0)
}

test.each([
  ['at its step, before its transaction', 0],
  ['in its transaction', 0],
  ['in its commit', 1],
  ['behind its commit, which is not answered', 1],
] as const)(
  'a tick that is killed, %s, leaves nothing or all, and its next try one run',
  async (place, runs) => {
    const reached = await reach(place)
    await kill(reached)
    await expectOneRun(reached, runs)
  },
  120_000,
)

test.each(['in its commit', 'behind its commit, which is not answered'] as const)(
  'one of a hundred thousand items that is killed %s has begun its run, with each of them once',
  async (place) => {
    const reached = await reach(place, saveManyItems)
    await kill(reached)
    expect(await reached.again()).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.seen"') })
    const items = await runOn(
      postgres.url,
      `select count(*)::int as jobs, count(distinct payload ->> 'segmentationId')::int as different
       from workflow_job where parent_id is not null
         and run_id = (select id from workflow_run where workflow_id = '${reached.workflowId}')`,
    )
    expect(items).toEqual([{ jobs: manyItems, different: manyItems }])
  },
  180_000,
)
