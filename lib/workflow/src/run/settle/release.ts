import { enqueue, type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { jobMessage } from '../../job/new-job.ts'
import { statusesBefore } from '../../job/transitions.ts'
import { transactionFor } from '../../job/unit/limit-lock-waits.ts'
import { defaultWindow, lowWater } from '../../job/unit/window.ts'
import { fromTheStart } from './cancel-jobs.ts'

/**
 * Who releases: the outbox lane for the messages, and the window. With `limitsWaits` a lock that somebody holds for long is
 * thrown, and not waited for. With `passesOver` a step whose counters somebody holds is left as it is.
 */
export type Releaser = { lane: number; window?: number; limitsWaits?: boolean; passesOver?: boolean }

/** Jobs of one unit of work: units of the same step wait for it, for some tens of milliseconds. */
const groupSize = 1_000

/** A step of a run. */
export type StepOfRunKey = { runId: string; stepId: string }

/** Fills up the windows of these runs' steps that are half free; returns how many jobs were released. */
export const releaseJobs = (
  em: EntityManager,
  runIds: readonly string[],
  { window = defaultWindow, ...by }: Releaser,
): Promise<number> => fillWindows(em, runIds, lowWater(window), { ...by, window })

/**
 * Fills up the windows of any open run that have any room: a worker that dies between its commit and its hint leaves jobs
 * that wait, and where most of a window is put off until later it is never half free. It is called again and again: steps
 * whose counters are held are left to the next time, and hold up no others. While their commits hold them that often, these
 * hint at what they have made room for.
 */
export const releaseWaitingJobs = (em: EntityManager, { window = defaultWindow, ...by }: Releaser): Promise<number> =>
  fillWindows(em, null, window - 1, { ...by, window, limitsWaits: true, passesOver: true })

/** `most` is how many jobs may be on the belt where a window is to be filled up. */
const fillWindows = async (
  em: EntityManager,
  runIds: readonly string[] | null,
  most: number,
  by: Releaser,
): Promise<number> => {
  const { rows } = await queryable(em).query(waitingStepsSql, [runIds, most])
  let released = 0
  for (const key of stepRows.parse(rows)) released += await fillWindow(em, key, by)
  return released
}

/**
 * Releases jobs of a step group by group until its window is as good as full or nothing waits; returns how many. Commits
 * that wait for the counters meanwhile make room again: to look for the last of it would not end while they come as fast as
 * groups do, and all other runs of the caller would wait.
 */
const fillWindow = async (em: EntityManager, key: StepOfRunKey, by: Releaser): Promise<number> => {
  let released = 0
  for (;;) {
    const group = await releaseGroup(em, key, by)
    released += group
    if (group < groupSize) return released
  }
}

const waitingStepsSql = `
  select run.id as "runId", counted.step_id as "stepId"
  from workflow_run run cross join lateral (
    select step_id from workflow_run_step where run_id = run.id and staged > 0 and belt <= $2
    offset 0
  ) counted
  where run.status = 'running' and ($1::uuid[] is null or run.id = any ($1))
  order by run.id`

/**
 * Puts the next jobs of a step that wait onto the belt, as far as its window has room, each with a message of its own
 * generation; returns how many. Nothing is released in a run that is being cancelled.
 *
 * It reads from a floor, the last job that was released: at the head of the index lie as many dead rows as were ever
 * released while somebody keeps a snapshot. Whoever has jobs wait that come before it, such as one that is sent again
 * or those of a unit that drew its ids early and committed late, brings it down to them, with the counters. What was
 * passed over is below it; it is read when there are too few above.
 *
 * Locks: the counters, and then jobs and their rows among those that wait, passing over what is locked: a unit of work
 * holds jobs and waits for the counters, so to wait for a job here would be a deadlock. So would it be to wait for a row of
 * a cancel's, which holds that and its job, and waits for the counters. A row whose job is locked stays locked by this until
 * its commit: a cancel that has the job waits for that, and this for nothing.
 */
export const releaseGroup = (em: EntityManager, key: StepOfRunKey, by: Releaser): Promise<number> =>
  transactionFor(by.limitsWaits)(em, async (em) => {
    const tx = queryable(em)
    const { rows } = await tx.query(by.passesOver ? `${lockSql} skip locked` : lockSql, [key.runId, key.stepId])
    const [counted] = countedRows.parse(rows)
    if (counted === undefined) return 0
    const room = Math.min(groupSize, counted.staged, (by.window ?? defaultWindow) - counted.belt)
    if (room <= 0) return 0
    const released = await takeWaiting(tx, key, counted.releasedTo ?? fromTheStart, room)
    if (released.length < room && counted.releasedTo !== null) {
      released.push(...(await takeWaiting(tx, key, fromTheStart, room - released.length)))
    }
    released.sort((a, b) => (a.id < b.id ? -1 : 1))
    const last = released.at(-1)
    if (last === undefined) return 0
    await tx.query(movedSql, [key.runId, key.stepId, released.length, last.id])
    await enqueue(
      em,
      released.map((job) => jobMessage(job.functionName, { ...job, ...key })),
      { lane: by.lane },
    )
    return released.length
  })

const lockSql = `
  select staged::float8 as staged, belt::float8 as belt, released_to as "releasedTo"
  from workflow_run_step where run_id = $1 and step_id = $2
  for no key update`

const takeWaiting = async (
  tx: Queryable,
  { runId, stepId }: StepOfRunKey,
  from: string,
  most: number,
): Promise<z.infer<typeof releasedRows>> => {
  const { rows } = await tx.query(takeSql, [runId, stepId, from, most, statusesBefore('release')])
  return releasedRows.parse(rows)
}

// The run's status is looked at in this statement, after the lock. Jobs are looked up one by one as those that wait
// come in their order, so that nothing is locked behind the last that is taken, and a merge join passes none that was
// released before. As arrays, since a join with what was just chosen is planned as one with a single row while the
// statistics are of an empty table: every row that waits would be compared with every one that was chosen, for
// seconds, and all of the step's commits wait.
export const takeSql = `
  with next as (
    select waiting.job_id
    from (
      select job_id from workflow_waiting
      where run_id = $1 and step_id = $2 and job_id >= $3
        and exists (select from workflow_run where id = $1 and status = 'running')
      order by job_id
      -- More than any others hold locked; without it all that wait may be sorted for each group.
      limit $4::bigint + 10000
      for update skip locked
    ) waiting cross join lateral (
      select from workflow_job
      where id = waiting.job_id and run_id = $1 and status = any ($5)
      for no key update skip locked
    ) job
    limit $4
  ), taken as (
    delete from workflow_waiting waiting
    where waiting.run_id = $1 and waiting.step_id = $2 and waiting.job_id = any (array(select job_id from next))
    returning waiting.job_id
  )
  update workflow_job job set status = 'queued', seq = job.seq + 1, enqueued_at = now()
  from workflow_run run, workflow_step step
  where job.id = any (array(select job_id from taken)) and run.id = $1 and step.id = $2 and step.version = run.version
  returning job.id, job.seq, job.traceparent, step.function_name as "functionName"`

const movedSql = `
  update workflow_run_step
  set staged = staged - $3, belt = belt + $3, released_to = greatest(released_to, $4::uuid)
  where run_id = $1 and step_id = $2`

const stepRows = z.array(z.object({ runId: z.string(), stepId: z.string() }))
const countedRows = z.array(z.object({ staged: z.number(), belt: z.number(), releasedTo: z.string().nullable() }))
const releasedRows = z.array(
  z.object({ id: z.string(), seq: z.int(), traceparent: z.string(), functionName: z.string() }),
)
