import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { afterEach, expect, test } from 'vitest'
import * as z from 'zod'
import type { Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { beatJobs } from './beat-jobs.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

// Jobs of these tests have nobody who would end them.
afterEach(() => engine.query('truncate workflow_run, outbox_message, outbox_scheduled cascade'))

/** Runs with one job each, that nobody has tried. */
const begin = async (count: number) => {
  const workflow = await engine.saveWorkflow({ functionName: 'nobody', outputType: null })
  const jobs: { run: string; id: string }[] = []
  for (let left = count; left > 0; left -= 1) {
    const run = await engine.begin(workflow, null)
    for (const { id } of await engine.jobs(run)) jobs.push({ run, id })
  }
  return jobs
}

const beat = async (jobs: readonly { id: string | undefined; claim?: string; next?: string }[]) => {
  const runs = await runsOf(jobs.map(({ id = '' }) => id))
  return beatJobs(
    engine.em(),
    jobs.map(({ id = '', claim = null, next = null }) => {
      const runId = runs.get(id) ?? randomUUID()
      return { id, runId, seq: 1, claim, next }
    }),
    'worker',
  )
}

const runsOf = async (ids: readonly string[]): Promise<ReadonlyMap<string, string>> => {
  const found = await engine.query('select id, run_id as run from workflow_job where id = any ($1)', [ids])
  return new Map(runRows.parse(found).map(({ id, run }) => [id, run]))
}

const runRows = z.array(z.object({ id: z.string(), run: z.string() }))

const rows = z.array(z.object({ id: z.string(), status: z.string(), claim: z.string().nullable(), xmin: z.string() }))
const rowOf = async (id: string | undefined) =>
  rows.parse(await engine.query('select id, status, claim, xmin::text from workflow_job where id = $1', [id]))[0]

const ours = { isOurs: true, isClaimed: true, isCancelled: false }
const lost = { isOurs: false, isClaimed: false, isCancelled: false }

test('all jobs of a beat are marked running under their claims in one statement, and the answers come in its order', async () => {
  const jobs = (await begin(5)).toReversed()
  const claims = jobs.map(() => randomUUID())
  await engine.query(`
    create table seen_beat (rows int);
    create function note_beats() returns trigger language plpgsql as $$
      begin insert into seen_beat select count(*) from written; return null; end $$;
    create trigger note after update on workflow_job referencing new table as written
      for each statement execute function note_beats()`)
  try {
    const answers = await beat([
      ...jobs.map(({ id }, index) => ({ id, next: claims[index] ?? '' })),
      { id: randomUUID(), next: randomUUID() },
    ])
    expect(answers).toEqual([...jobs.map(() => ours), lost])
    expect(await engine.query('select * from seen_beat')).toEqual([{ rows: 5 }])
  } finally {
    await engine.query('drop function note_beats cascade; drop table seen_beat')
  }
  for (const [index, { id }] of jobs.entries()) {
    expect(await rowOf(id)).toMatchObject({ status: 'running', claim: claims[index] })
  }
})

test('a beat whose answer was lost gives the same answer again', async () => {
  const [job] = await begin(1)
  const again = { id: job?.id, next: randomUUID() }
  expect(await beat([again])).toEqual([ours])
  expect(await beat([again])).toEqual([ours])
})

test('a row is written anew only when its beat is some seconds old', async () => {
  const [job] = await begin(1)
  const id = job?.id
  const claim = randomUUID()
  await beat([{ id, next: claim }])
  const before = await rowOf(id)
  expect(await beat([{ id, claim, next: claim }])).toEqual([ours])
  expect(await rowOf(id)).toEqual(before)
  await engine.query(`update workflow_job set beat_at = now() - interval '6 seconds' where id = $1`, [id])
  await beat([{ id, claim, next: claim }])
  expect(
    await engine.query(`select from workflow_job where id = $1 and beat_at > now() - interval '3 seconds'`, [id]),
  ).toHaveLength(1)
})

test('a job that another has claimed, put off or ended is lost, and stays as it is', async () => {
  const [claimed, requeued, over] = (await begin(3)).map(({ id }) => id)
  await engine.query(`update workflow_job set claim = $2, status = 'running' where id = $1`, [claimed, randomUUID()])
  await engine.query(`update workflow_job set seq = 2 where id = $1`, [requeued])
  await engine.query(`update workflow_job set status = 'succeeded', finished_at = now() where id = $1`, [over])
  for (const id of [claimed, requeued, over]) {
    const before = await rowOf(id)
    expect(await beat([{ id, next: randomUUID() }])).toEqual([lost])
    expect(await rowOf(id)).toEqual(before)
  }
})

test('a job whose run is being cancelled, or is, says so, whosever it is', async () => {
  const [running, swept] = await begin(2)
  await engine.query(`update workflow_run set status = 'cancelling' where id = $1`, [running?.run])
  await engine.query(`update workflow_run set status = 'cancelled', finished_at = now() where id = $1`, [swept?.run])
  await engine.query(`update workflow_job set status = 'cancelled', finished_at = now() where id = $1`, [swept?.id])
  const beats = [running, swept].map((job) => ({ id: job?.id, next: randomUUID() }))
  expect(await beat(beats)).toEqual([
    { isOurs: true, isClaimed: true, isCancelled: true },
    { isOurs: false, isClaimed: false, isCancelled: true },
  ])
})

test('a job that somebody is writing holds up no other, and is neither claimed nor lost', async () => {
  const [locked, free] = await begin(2)
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_job where id = $1 for no key update', [locked?.id])
  const jobs = [locked, free].map((job) => ({ id: job?.id, next: randomUUID() }))
  expect(await beat(jobs)).toEqual([{ isOurs: true, isClaimed: false, isCancelled: false }, ours])
  await holder.rollback()
  expect(await beat(jobs)).toEqual([ours, ours])
})

test('without a claim to come it only looks', async () => {
  const [job] = await begin(1)
  const before = await rowOf(job?.id)
  expect(await beat([{ id: job?.id }])).toEqual([{ isOurs: true, isClaimed: false, isCancelled: false }])
  expect(await rowOf(job?.id)).toEqual(before)
})

/** Beats in a statement that has its snapshot and waits then, before it reads any job, for `release`. */
const heldBeat = async (job: { run: string; id: string } | undefined, next: string) => {
  await engine.query(`
    create schema held;
    create function held.jsonb_to_recordset(beats jsonb) returns setof record language plpgsql as $$ begin
      perform pg_advisory_xact_lock(${heldKey});
      return query select * from pg_catalog.jsonb_to_recordset(beats)
        as beat(place int, id uuid, "runId" uuid, seq int, claim uuid, next uuid);
    end $$`)
  const [holder, em] = [engine.em(), engine.em()]
  await holder.begin()
  await queryable(holder).query(`select pg_advisory_xact_lock(${heldKey})`, [])
  const answers = em.transactional(async (tx) => {
    await queryable(tx).query(`set local search_path to held, public, pg_catalog`, [])
    return beatJobs(tx, [{ id: job?.id ?? '', runId: job?.run ?? '', seq: 1, claim: null, next }], 'worker')
  })
  await waitFor(async () => {
    const waiting = `
      select from pg_locks where locktype = 'advisory' and objid = ${heldKey} and not granted
        and database = (select oid from pg_database where datname = current_database())`
    return (await engine.query(waiting)).length === 1
  })
  return {
    release: async () => {
      await holder.rollback()
      const answered = await answers
      await engine.query('drop schema held cascade')
      return answered
    },
  }
}

const heldKey = 4_712

test.each([
  ['claims', `status = 'running', claim = gen_random_uuid()`],
  ['sends again', `seq = 2`],
  ['ends', `status = 'succeeded', finished_at = now()`],
])('a job that another %s between the look of a beat and its lock stays as it is', async (_, change) => {
  const [job] = await begin(1)
  const { release } = await heldBeat(job, randomUUID())
  await engine.query(`update workflow_job set ${change} where id = $1`, [job?.id])
  const before = await rowOf(job?.id)
  expect(await release()).toEqual([{ isOurs: true, isClaimed: false, isCancelled: false }])
  expect(await rowOf(job?.id)).toEqual(before)
})
